#include "box/state.h"

#include "box/execenv.h"
#include "box/secrets.h"
#include "fmt/json.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { STATE_MAX_BYTES = 1 << 20 };

static const char *mode_name(const struct box_spec *spec)
{
	static const char *const names[] = {
		[BOX_DIRECT] = "direct", [BOX_READ_ONLY] = "read-only", [BOX_CLONE] = "clone"};

	return names[spec->mode];
}

static const char *network_name(const struct box_spec *spec)
{
	static const char *const names[] = {[BOX_NET_NONE] = "none", [BOX_NET_GATE] = "gateway"};

	return names[spec->network];
}

/* JSON has no bytes that are not UTF-8: a path with such bytes is shown with \xNN, and "workspace" is then for reading
 * only. */
static json_t *text(const char *s)
{
	const char *bytes = s ? s : "";
	_cleanup_str_ struct str printable = STR_INIT;
	json_t *j = json_string(bytes);

	if (j)
		return j;
	str_add_printable(&printable, bytes, strlen(bytes), false);
	return json_string(str_text(&printable));
}

static json_t *shares_json(const struct box_spec *spec)
{
	json_t *list = json_array();

	for (size_t i = 0; i < spec->nshares; i++)
		(void)json_array_append_new(list, json_pack("{s:o, s:o, s:b}", "source", text(spec->shares[i].source),
							    "target", text(spec->shares[i].target), "readOnly",
							    spec->shares[i].read_only));
	return list;
}

static json_t *pins_json(const struct box_spec *spec)
{
	json_t *list = json_array();

	for (size_t i = 0; i < spec->npins; i++)
		if (spec->pins[i].read_only)
			(void)json_array_append_new(list, text(spec->pins[i].path));
	return list;
}

static json_t *hosts_json(const struct strv *hosts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < hosts->n; i++)
		(void)json_array_append_new(list, json_string(hosts->v[i]));
	return list;
}

/* Which, and where the box has them; nothing of their values. */
static json_t *secrets_json(const struct secrets *s)
{
	json_t *list = json_array();

	for (size_t i = 0; s && i < s->n; i++) {
		json_t *j = json_pack("{s:s, s:o}", "name", s->v[i].name, s->v[i].path ? "path" : "variable",
				      text(s->v[i].path ? s->v[i].path : s->v[i].variable));

		if (s->v[i].hosts.n > 0)
			(void)json_object_set_new(j, "hosts", hosts_json(&s->v[i].hosts));
		(void)json_array_append_new(list, j);
	}
	return list;
}

int state_write(struct box *box, int exit_code, bool stopped, struct err **e)
{
	const struct box_spec *spec = box->spec;
	_cleanup_json_ json_t *j = json_object();
	_cleanup_str_ struct str bytes = STR_INIT;

	(void)json_object_set_new(j, "schema", json_string("igloo.box/1"));
	(void)json_object_set_new(j, "name", json_string(spec->name));
	(void)json_object_set_new(j, "kind", json_string(box->kind->name));
	(void)json_object_set_new(j, "slot", json_string(box->slot->id));
	(void)json_object_set_new(j, "workspace", text(spec->workspace));
	(void)json_object_set_new(j, "mode", json_string(mode_name(spec)));
	(void)json_object_set_new(j, "network", json_string(network_name(spec)));
	(void)json_object_set_new(j, "unnamedTls", json_boolean(spec->allow_unnamed_tls));
	(void)json_object_set_new(j, "command", text(box->command));
	(void)json_object_set_new(j, "ephemeral", json_boolean(spec->ephemeral));
	(void)json_object_set_new(j, "detached", json_boolean(spec->detached));
	(void)json_object_set_new(j, "since", json_integer((json_int_t)box->since));
	(void)json_object_set_new(j, "guest", json_integer(exit_code < 0 ? box->running.pid : 0));
	(void)json_object_set_new(j, "shares", shares_json(spec));
	(void)json_object_set_new(j, "protected", pins_json(spec));
	(void)json_object_set_new(j, "limits",
				  json_pack("{s:I, s:I, s:I, s:I}", "cpuMilli", (json_int_t)spec->limits.cpu_milli,
					    "memory", (json_int_t)spec->limits.memory, "pids",
					    (json_int_t)spec->limits.pids, "timeoutMs",
					    (json_int_t)spec->limits.timeout_ms));
	if (spec->machine.store_path)
		(void)json_object_set_new(j, "storeImage", text(spec->machine.store_path));
	if (spec->requested)
		(void)json_object_set_new(j, "requested", json_loads(spec->requested, 0, NULL));
	(void)json_object_set_new(j, "ports", boxports_json(exit_code < 0 ? box->ports : NULL));
	if (exit_code >= 0)
		(void)json_object_set_new(j, "exitCode", json_integer(exit_code));
	if (stopped)
		(void)json_object_set_new(j, "stopped", json_true());
	(void)json_object_set_new(j, "secrets", secrets_json(box->running.secrets));
	if (box->agent)
		(void)json_object_set_new(j, "sshKeys", boxagent_json(box->agent));
	json_add_sorted(&bytes, j);
	str_addc(&bytes, '\n');
	return file_replace(box->dir, "spec.json", bytes.p, bytes.len, 0600, !spec->ephemeral, e);
}

static char *member(const json_t *j, const char *key)
{
	const char *value = json_string_value(json_object_get(j, key));

	return xstrdup(value ? value : "");
}

int state_read(int dir, struct box_info *ret, struct err **e)
{
	_cleanup_str_ struct str bytes = STR_INIT;
	_cleanup_json_ json_t *j = NULL;
	const json_t *code;
	int r = file_read(dir, "spec.json", STATE_MAX_BYTES, &bytes, e);

	if (r == 0 && json_parse(str_text(&bytes), bytes.len, STATE_MAX_BYTES, 8, &j, NULL) < 0)
		r = err_set(e, EBADMSG, "its state file is damaged");
	if (r < 0)
		return r;
	*ret = (struct box_info){
		.name = member(j, "name"),
		.slot = member(j, "slot"),
		.workspace = member(j, "workspace"),
		.kind = member(j, "kind"),
		.command = member(j, "command"),
		.mode = member(j, "mode"),
		.ephemeral = json_is_true(json_object_get(j, "ephemeral")),
		.detached = json_is_true(json_object_get(j, "detached")),
		.guest = (pid_t)json_integer_value(json_object_get(j, "guest")),
		.since = (time_t)json_integer_value(json_object_get(j, "since")),
		.stopped = json_is_true(json_object_get(j, "stopped")),
		.exit_code = -1,
	};
	code = json_object_get(j, "exitCode");
	if (json_is_integer(code))
		ret->exit_code = (int)json_integer_value(code);
	ret->json = str_take(&bytes);
	return 0;
}

int state_remove(int boxes, const char *name, int dir)
{
	_cleanup_close_ int lock = -1;

	(void)unlinkat(dir, "spec.json", 0);
	execenv_remove(dir);
	(void)unlinkat(dir, "lock", 0);
	if (unlinkat(boxes, name, AT_REMOVEDIR) == 0 || errno != ENOTEMPTY)
		return 0;
	/* There is more in it, or somebody has just begun to make a box of the name: then the lock is theirs. */
	lock = file_lock(dir, "lock", false, false, NULL);
	return lock < 0 ? 0 : file_remove_locked(boxes, name, dir);
}
