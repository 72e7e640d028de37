/* igloo inspect: everything that is known of a box, as JSON. */
#include "base/name.h"
#include "box/box.h"
#include "cmd/cmd.h"
#include "cmd/report.h"
#include "fmt/json.h"

#include <errno.h>
#include <string.h>

enum { STATE_MAX = 1 << 20, STATE_DEPTH = 8 };

/* As its file has it; a definition that cannot be used is an error. */
static int add_definition(json_t *j, const char *name, struct err **e)
{
	_cleanup_definition_ struct definition d = {.directory = NULL};
	_cleanup_str_ struct str bytes = STR_INIT;
	json_t *definition = NULL;
	int r = box_definition(name, &d, e);

	if (r == 0)
		r = definition_encode(&d, &bytes, e);
	if (r == 0)
		r = json_parse(str_text(&bytes), bytes.len, STATE_MAX, STATE_DEPTH, &definition, e);
	if (r == 0)
		(void)json_object_set_new(j, "definition", definition);
	return r;
}

static int add_box(struct str *s, const struct box_info *box, struct err **e)
{
	_cleanup_json_ json_t *j = NULL;

	if (box->json && json_parse(box->json, strlen(box->json), STATE_MAX, STATE_DEPTH, &j, e) < 0)
		return err_wrap(e, "the state of box '%s'", box->name);
	if (!j)
		j = json_pack("{s:s, s:s}", "schema", "igloo.box/1", "name", box->name);
	if (box->defined) {
		int r = add_definition(j, box->name, e);

		if (r < 0)
			return r;
	}
	(void)json_object_set_new(j, "running", json_boolean(box->running));
	(void)json_object_set_new(j, "supervisor", json_integer(box->supervisor));
	(void)json_object_set_new(j, "guest", json_integer(box->guest));
	(void)json_object_set_new(j, "exitCode", box->exit_code < 0 ? json_null() : json_integer(box->exit_code));
	json_add_sorted(s, j);
	str_addc(s, '\n');
	return 0;
}

static int run(struct invocation *inv, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;
	struct box_info box = {0};
	int r = name_check(inv->argv[0], e);

	if (r == 0)
		r = box_look(inv->argv[0], &box, e);
	if (r == 0)
		r = add_box(&s, &box, e);
	box_info_release(&box);
	return r < 0 ? r : report_out(&s, e);
}

static const struct example examples[] = {
	{"igloo inspect fix | jq .", "everything about the box 'fix'"},
	{"igloo inspect fix | jq -r '.protected[]'", "what it cannot write in its workspace"},
	{.command = NULL},
};

const struct cmd cmd_inspect = {
	.name = "inspect",
	.args = "BOX",
	.summary = "show everything about a box, as JSON",
	.about = "One object with \"schema\": \"igloo.box/1\": the box's state as it was written when it started, and "
		 "whether it "
		 "runs or how it ended. \"exitCode\" is null while it runs, and when nobody saw it end. A box that "
		 "igloo create made has its \"definition\", too.",
	.examples = examples,
	.min_args = 1,
	.max_args = 1,
	.arg_hint = HINT_BOXES,
	.run = run,
};
