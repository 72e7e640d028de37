/* igloo doctor: what this machine can enforce, and how to enable the rest. */
#include "cmd/cmd.h"
#include "cmd/report.h"
#include "fmt/json.h"
#include "kind/vm/facts.h"
#include "sys/probe.h"

#include <errno.h>

/* Where the reason and the remedy start: "  partly   ". */
#define INDENT "           "

/* Adds each line of the text behind the indent and the lead; lines after the first are set in further. */
static void add_lines(struct str *s, const char *lead, const char *text)
{
	_cleanup_strv_ struct strv lines = STRV_INIT;

	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.n; i++)
		str_addf(s, INDENT "%s%s\n", i ? "     " : lead, lines.v[i]);
}

static void add_fact(struct str *s, const struct probe_fact *fact)
{
	bool found = fact->state == PROBE_YES || fact->state == PROBE_PARTLY;

	str_addf(s, "  %-8s %s%s%s\n", probe_state_name(fact->state), fact->title, found ? ": " : "",
		 found ? fact->what : "");
	if (fact->why)
		add_lines(s, "", fact->why);
	if (fact->fix)
		add_lines(s, "fix: ", fact->fix);
}

static void add_text(struct str *s, const struct probe_facts *facts, bool runs)
{
	str_addf(s, "sandbox: %s\n", runs ? "can run on this machine" : "cannot run on this machine");
	str_adds(s, "\nneeded by every sandbox\n");
	for (size_t i = 0; i < facts->n; i++)
		if (facts->v[i].needed)
			add_fact(s, &facts->v[i]);
	str_adds(s, "\nneeded by what asks for it\n");
	for (size_t i = 0; i < facts->n; i++)
		if (!facts->v[i].needed)
			add_fact(s, &facts->v[i]);
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static int add_json(struct str *s, const struct probe_facts *facts, bool runs, struct err **e)
{
	_cleanup_json_ json_t *list = json_array();
	_cleanup_json_ json_t *document = NULL;

	for (size_t i = 0; i < facts->n; i++) {
		const struct probe_fact *fact = &facts->v[i];

		(void)json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:b, s:s, s:o, s:o}", "id", fact->id, "title", fact->title,
					"state", probe_state_name(fact->state), "needed", (int)fact->needed, "what",
					fact->what, "why", text_or_null(fact->why), "fix", text_or_null(fact->fix)));
	}
	document = json_pack("{s:s, s:{s:{s:b}}, s:O}", "schema", "igloo.doctor/1", "kinds", "sandbox", "runs",
			     (int)runs, "facts", list);
	if (!document || json_array_size(list) != facts->n)
		return err_set(e, EINVAL, "a fact about this machine is not UTF-8");
	json_add_sorted(s, document);
	str_addc(s, '\n');
	return 0;
}

static int run(struct invocation *inv, struct err **e)
{
	_cleanup_probe_ struct probe_facts facts = {NULL, 0};
	_cleanup_str_ struct str s = STR_INIT;
	bool runs;
	int r = 0;

	probe_all(&facts);
	vm_facts(&facts);
	runs = probe_sandbox_runs(&facts);
	if (inv->global.json)
		r = add_json(&s, &facts, runs, e);
	else
		add_text(&s, &facts, runs);
	if (r < 0)
		return r;
	inv->exit_code = runs ? 0 : 125;
	return report_out(&s, e);
}

static const struct example examples[] = {
	{"igloo doctor", "what works here, and the commands that enable the rest"},
	{"igloo doctor --json", "the same for a program"},
	{NULL, NULL},
};

const struct cmd cmd_doctor = {
	.name = "doctor",
	.args = "",
	.summary = "show what this machine can enforce and how to enable the rest",
	.about =
		"Tries each step of a box's start in a short-lived process and says what works, why the rest does not, "
		"and which command or setting enables it. Changes nothing.\n\n"
		"Exits with 0 when a sandbox can run on this machine, with 125 when it cannot.",
	.examples = examples,
	.run = run,
};
