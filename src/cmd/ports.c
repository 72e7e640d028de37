/* igloo ports: forwards ports to a running box, and says which it has. */
#include "base/name.h"
#include "box/portspec.h"
#include "cmd/client.h"
#include "cmd/cmd.h"
#include "cmd/portsview.h"
#include "cmd/report.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum { ANSWER_MS = 5000 };

static int change(const char *box, char op, char *const *specs, struct err **e)
{
	_cleanup_client_ struct link *l = NULL;
	_cleanup_str_ struct str payload = STR_INIT;
	struct frame f = {0};
	int r = client_open(box, &l, e);

	if (r < 0)
		return r;
	str_addc(&payload, op);
	for (; *specs; specs++)
		str_addf(&payload, "%s%s", *specs, specs[1] ? "\n" : "");
	r = payload.len > FRAME_ANSWER_MAX ? -E2BIG : link_send(l, 0, FRAME_PORTS, 0, payload.p, payload.len, NULL, 0);
	if (r == 0)
		r = link_drain(l, ANSWER_MS);
	if (r == 0)
		r = client_answer(l, FRAME_PORTS, ANSWER_MS, &f);
	return r < 0 ? err_errno(e, -r, "box '%s' does not answer", box) : client_result(&f, e);
}

static int show(struct invocation *inv, struct err **e)
{
	_cleanup_json_ json_t *ports = NULL;
	_cleanup_str_ struct str s = STR_INIT;
	struct box_info box = {0};
	int r = box_look(inv->argv[0], &box, e);

	if (r < 0)
		return r;
	ports = portsview_of(&box);
	box_info_release(&box);
	if (inv->global.json) {
		_cleanup_json_ json_t *j = json_pack("{s:s, s:s, s:O}", "schema", "igloo.ports/1", "box", inv->argv[0],
						     "ports", ports);

		json_add_sorted(&s, j);
		str_addc(&s, '\n');
	}
	for (size_t i = 0; !inv->global.json && i < json_array_size(ports); i++) {
		portsview_add(json_array_get(ports, i), &s);
		str_addc(&s, '\n');
	}
	return report_out(&s, e);
}

static int usage(struct err **e, const char *what)
{
	(void)err_set(e, EINVAL, "%s", what);
	(void)err_hint(e, "say: igloo ports BOX, igloo ports BOX add SPEC..., igloo ports BOX rm SPEC...");
	return err_exit_code(e, 2);
}

static int run(struct invocation *inv, struct err **e)
{
	const char *verb = inv->argc > 1 ? inv->argv[1] : "ls";
	bool add = strcmp(verb, "add") == 0;
	int r = name_check(inv->argv[0], e);

	if (r < 0)
		return r;
	if (strcmp(verb, "ls") == 0)
		return inv->argc > 2 ? usage(e, "ls takes no ports") : show(inv, e);
	if (!add && strcmp(verb, "rm") != 0)
		return usage(e, "what is to be done with the ports: ls, add or rm?");
	if (inv->argc < 3)
		return usage(e, "which port?");
	for (int i = 2; r == 0 && i < inv->argc; i++) {
		struct portspec spec;

		r = portspec_parse(inv->argv[i], &spec, e);
	}
	if (r == 0)
		r = change(inv->argv[0], add ? '+' : '-', inv->argv + 2, e);
	return r < 0 || !add ? r : show(inv, e);
}

static const struct example examples[] = {
	{"igloo ports fix", "which ports of this machine lead into the box 'fix'"},
	{"igloo ports fix add 8080:80", "http://localhost:8080 here is port 80 there"},
	{"igloo ports fix add 0:3000", "any free port here; it is printed"},
	{"igloo ports fix rm 8080", "no longer"},
	{.command = NULL},
};

const struct cmd cmd_ports = {
	.name = "ports",
	.args = "BOX [ls | add SPEC... | rm SPEC...]",
	.summary = "forward ports to a running box",
	.about =
		"SPEC is HOST:PORT, PORT for the same one on both sides, 0:PORT for any free port of this machine, or "
		"ADDRESS:HOST:PORT ([ADDRESS]:HOST:PORT for IPv6). Without an address only this machine's loopback, "
		"127.0.0.1 and [::1], listens; everybody who can reach another address reaches the box there.\n\n"
		"A connection arrives at 127.0.0.1 or [::1] of the box, so servers need not listen elsewhere. The same "
		"when a box starts: --publish of `igloo run` and `igloo shell`. The ports close with the box; rm "
		"leaves "
		"connections that are there alone.",
	.examples = examples,
	.min_args = 1,
	.max_args = -1,
	.arg_hint = HINT_BOXES,
	.run = run,
};
