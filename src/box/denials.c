#include "box/denials.h"

#include "base/log.h"
#include "fmt/json.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NOW "denials"
#define FILE_OLD "denials.1"

/* The names by which reasons are kept; engine_reason_name() is for people. */
static const char *const reasons[] = {
	[ENGINE_DENIED_NAME] = "name",
	[ENGINE_DENIED_PORT] = "port",
	[ENGINE_DENIED_ADDRESS] = "address",
	[ENGINE_DENIED_LITERAL] = "literal",
	[ENGINE_DENIED_TLS_NAME] = "tls-name",
	[ENGINE_DENIED_TLS_NONE] = "tls-none",
	[ENGINE_DENIED_HTTP_HOST] = "http-host",
	[ENGINE_FAILED] = "failed",
	[ENGINE_DENIED_CERTIFICATE] = "certificate",
};

char *denials_entry(const struct engine_event *event)
{
	/* Bare names have these two ports. */
	const bool usual = event->port == 0 || event->port == 80 || event->port == 443;

	/* Of a name that a secret was taken out of, the rest is none. */
	if (strstr(event->host, "[secret "))
		return xstrdup("");
	switch ((enum engine_reason)event->reason) {
	case ENGINE_DENIED_NAME:
	case ENGINE_DENIED_PORT:
		return usual ? xstrdup(event->host) : xasprintf("%s:%u", event->host, event->port);
	case ENGINE_DENIED_ADDRESS:
		return xasprintf(strchr(event->detail, ':') ? "[%s]:%u" : "%s:%u", event->detail, event->port);
	case ENGINE_DENIED_LITERAL:
		/* Of the gateway's own addresses none is anybody's. */
		if (str_starts(event->host, "198.18.") || str_starts(event->host, "198.19.") ||
		    str_starts(event->host, "192.0.0."))
			break;
		return xasprintf(strchr(event->host, ':') ? "[%s]:%u" : "%s:%u", event->host, event->port);
	case ENGINE_DENIED_TLS_NAME:
	case ENGINE_DENIED_TLS_NONE:
	case ENGINE_DENIED_HTTP_HOST:
	case ENGINE_DENIED_CERTIFICATE:
	case ENGINE_FAILED:
		break;
	}
	return xstrdup("");
}

const char *denials_option(const struct engine_event *event)
{
	/* What is no TLS at all does not pass either way. */
	return event->reason == ENGINE_DENIED_TLS_NONE && (strcmp(event->detail, ENGINE_TLS_UNNAMED) == 0 ||
							   strcmp(event->detail, ENGINE_TLS_HIDDEN) == 0)
		       ? "--allow-unnamed-tls"
		       : NULL;
}

void denials_describe(const struct engine_event *event, struct str *to)
{
	str_add_printable(to, event->host, strnlen(event->host, sizeof(event->host)), false);
	if (event->port)
		str_addf(to, ":%u", event->port);
	str_addf(to, ": %s", engine_reason_name((enum engine_reason)event->reason));
	if (*event->detail) {
		str_adds(to, " (");
		str_add_printable(to, event->detail, strnlen(event->detail, sizeof(event->detail)), false);
		str_addc(to, ')');
	}
}

/* Bytes that are no UTF-8 as \xNN. */
static json_t *text(const char *s)
{
	_cleanup_str_ struct str printable = STR_INIT;

	str_add_printable(&printable, s, strlen(s), false);
	return json_string(str_text(&printable));
}

void denials_json(const struct engine_event *event, const char *box, time_t when, struct str *to)
{
	_cleanup_free_ char *entry = denials_entry(event);
	const char *option = denials_option(event);
	const char *reason = event->reason < ARRAY_SIZE(reasons) ? reasons[event->reason] : NULL;
	_cleanup_json_ json_t *j = json_pack("{s:s, s:I, s:o, s:s, s:o, s:i, s:o}", "schema", "igloo.denial/1", "time",
					     (json_int_t)when, "box", text(box), "reason", reason ? reason : "failed",
					     "host", text(event->host), "port", (int)event->port, "detail",
					     text(event->detail));

	(void)json_object_set_new(j, "allow", *entry ? text(entry) : json_null());
	(void)json_object_set_new(j, "option", option ? json_string(option) : json_null());
	json_add_sorted(to, j);
	str_addc(to, '\n');
}

void denials_keep(const struct slot *slot, const char *box, const struct engine_event *event)
{
	_cleanup_str_ struct str line = STR_INIT;
	_cleanup_close_ int fd = file_open_beneath(slot->dir, FILE_NOW, O_WRONLY | O_APPEND | O_CREAT, 0600);
	struct stat st;

	denials_json(event, box, time(NULL), &line);
	/* One write of less than a page to a file opened for appending stays whole among those of other boxes. */
	if (fd < 0 || fd_write_all(fd, line.p, line.len) < 0) {
		log_debug("a denial could not be kept: %s", strerror(errno));
		return;
	}
	if (fstat(fd, &st) == 0 && st.st_size > DENIALS_BYTES_MAX)
		(void)renameat(slot->dir, FILE_NOW, slot->dir, FILE_OLD);
}

static bool parse(const char *line, size_t n, struct engine_event *event, char **ret_box, time_t *ret_when)
{
	_cleanup_json_ json_t *j = NULL;
	const char *box = NULL;
	const char *reason = NULL;
	const char *host = NULL;
	const char *detail = NULL;
	json_int_t when = 0;
	json_int_t port = 0;

	if (json_parse(line, n, 16384, 2, &j, NULL) < 0 || json_want_string(j, "box", "", &box, NULL) < 0 ||
	    json_want_string(j, "reason", "", &reason, NULL) < 0 || json_want_string(j, "host", "", &host, NULL) < 0 ||
	    json_want_string(j, "detail", "", &detail, NULL) < 0 || json_want_int(j, "time", "", &when, NULL) < 0 ||
	    json_want_int(j, "port", "", &port, NULL) < 0 || port < 0 || port > 65535)
		return false;
	*event = (struct engine_event){.port = (uint16_t)port};
	for (size_t i = 1; i < ARRAY_SIZE(reasons); i++)
		if (strcmp(reasons[i], reason) == 0)
			event->reason = (uint32_t)i;
	(void)snprintf(event->host, sizeof(event->host), "%s", host);
	(void)snprintf(event->detail, sizeof(event->detail), "%s", detail);
	*ret_box = xstrdup(box);
	*ret_when = (time_t)when;
	return event->reason != 0;
}

int denials_read(const struct slot *slot, const char *box,
		 int (*each)(void *arg, const struct engine_event *event, const char *box, time_t when), void *arg,
		 struct err **e)
{
	static const char *const files[] = {FILE_OLD, FILE_NOW};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_str_ struct str all = STR_INIT;
		_cleanup_strv_ struct strv lines = STRV_INIT;
		int r = file_read(slot->dir, files[i], 2 * (size_t)DENIALS_BYTES_MAX, &all, e);

		if (r < 0 && r != -ENOENT)
			return err_wrap(e, "slot '%s'", slot->id);
		err_clear(e);
		strv_split(&lines, str_text(&all), '\n');
		for (size_t k = 0; k < lines.n; k++) {
			_cleanup_free_ char *name = NULL;
			struct engine_event event;
			time_t when;

			if (!parse(lines.v[k], strlen(lines.v[k]), &event, &name, &when) ||
			    (box && strcmp(box, name) != 0))
				continue;
			r = each(arg, &event, name, when);
			if (r != 0)
				return r;
		}
	}
	return 0;
}
