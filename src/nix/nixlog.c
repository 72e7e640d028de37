/* Theory of operation: nixlog_feed() collects a line, line_event() parses it, and one function per action changes the
 * state: a list of the running activities, and per activity type the sums of those that ended. nixlog_progress() adds
 * the two. A build's last lines live in its activity; when it ends they move to `ended`, where an error message that
 * names the derivation finds them (which build failed is said nowhere else). */
#include "nix/nixlog.h"

#include "fmt/json.h"

enum {
	LINE_MAX_BYTES = 256 << 10,
	ACTIVITIES_MAX = 4096,
	ENDED_MAX = 16,
	KEEP_DEFAULT = 10,
	KEEP_MAX = 100,
	KEPT_LINE_MAX = 4096,
	ERRORS_MAX = 64 << 10,
	LOG_DEFAULT = 4 << 20,
	DEPTH_MAX = 16,
	HASH_AND_DASH = 33,
};

/* enum ActivityType and ResultType of Nix */
enum {
	ACT_FIRST = 100,
	ACT_COPY_PATH = 100,
	ACT_FILE_TRANSFER = 101,
	ACT_COPY_PATHS = 103,
	ACT_BUILDS = 104,
	ACT_BUILD = 105,
	ACT_SUBSTITUTE = 108,
	ACT_QUERY_PATH_INFO = 109,
	ACT_TYPES = 13,
};
enum { RES_BUILD_LOG_LINE = 101, RES_PROGRESS = 105, RES_SET_EXPECTED = 106, RES_POST_BUILD_LOG_LINE = 107 };
enum { LEVEL_ERROR = 0, LEVEL_WARN = 1, LEVEL_INFO = 3 };

/* Counts beyond it are Nix's mistake or nobody's; sums of them over all activities still fit in 64 bits. */
static const uint64_t count_max = UINT64_C(1) << 50;

struct sums {
	uint64_t done, failed, expected;
};

struct activity {
	uint64_t id;
	int type; /* index of ACT_FIRST + type, -1 for one without a sum */
	bool build;
	uint64_t done, expected, failed;
	uint64_t promised[ACT_TYPES]; /* RES_SET_EXPECTED */
	char *text;                   /* a build's derivation, else what Nix says it does; may be NULL */
	struct strv lines;            /* the last lines of a build */
};

struct nixlog {
	struct nixlog_options options;
	struct str line;
	bool cut; /* the rest of an overlong line is passed over */
	struct activity *acts;
	size_t n_acts, cap_acts;
	struct sums sums[ACT_TYPES];
	struct activity ended[ENDED_MAX]; /* the oldest is overwritten */
	size_t n_ended;
	struct str errors;
	struct str text;
};

struct nixlog *nixlog_new(const struct nixlog_options *options)
{
	struct nixlog *log = xcalloc(1, sizeof(*log));

	if (options)
		log->options = *options;
	if (log->options.keep == 0)
		log->options.keep = KEEP_DEFAULT;
	if (log->options.keep > KEEP_MAX)
		log->options.keep = KEEP_MAX;
	if (log->options.max_log == 0)
		log->options.max_log = LOG_DEFAULT;
	return log;
}

static void release_activity(struct activity *act)
{
	free(act->text);
	strv_release(&act->lines);
}

void nixlog_free(struct nixlog *log)
{
	if (!log)
		return;
	for (size_t i = 0; i < log->n_acts; i++)
		release_activity(&log->acts[i]);
	for (size_t i = 0; i < ENDED_MAX; i++)
		release_activity(&log->ended[i]);
	free(log->acts);
	str_release(&log->line);
	str_release(&log->errors);
	str_release(&log->text);
	free(log);
}

/* "/nix/store/<hash>-jq-1.6.drv" -> "jq-1.6" */
static char *short_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	struct str s = STR_INIT;
	size_t n;

	if (!slash || strlen(slash + 1) <= HASH_AND_DASH)
		return xstrdup("a derivation");
	slash += 1 + HASH_AND_DASH;
	n = strlen(slash);
	str_add_printable(&s, slash, str_ends(slash, ".drv") ? n - 4 : n, false);
	return str_take(&s);
}

/* One message or line, as it came: to the caller, and to the collected text. */
static void say(struct nixlog *log, enum nixlog_kind kind, const char *name, const char *bytes, size_t n, bool quiet)
{
	_cleanup_str_ struct str s = STR_INIT;

	while (n > 0 && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r'))
		n--;
	nixlog_add_clean(&s, bytes, n, log->options.colours);
	if (log->text.len < log->options.max_log) {
		if (name)
			str_addf(&log->text, "%s> ", name);
		str_add(&log->text, str_text(&s), s.len);
		str_addc(&log->text, '\n');
		if (log->text.len >= log->options.max_log)
			str_adds(&log->text, "[the rest is left out]\n");
	}
	if (kind == NIXLOG_ERROR && log->errors.len + s.len < ERRORS_MAX) {
		str_add(&log->errors, str_text(&s), s.len);
		str_addc(&log->errors, '\n');
	}
	if (log->options.on_text && !quiet)
		log->options.on_text(log->options.arg, kind, name, str_text(&s));
}

static struct activity *find_activity(struct nixlog *log, json_t *event)
{
	json_t *id = json_object_get(event, "id");

	/* The latest are the busiest. */
	for (size_t i = log->n_acts; json_is_integer(id) && i > 0; i--)
		if (log->acts[i - 1].id == (uint64_t)json_integer_value(id))
			return &log->acts[i - 1];
	return NULL;
}

static int type_index(json_int_t type)
{
	return type >= ACT_FIRST && type < ACT_FIRST + ACT_TYPES ? (int)(type - ACT_FIRST) : -1;
}

static uint64_t count_of(json_t *fields, size_t i)
{
	json_int_t v = json_integer_value(json_array_get(fields, i));

	if (v < 0)
		return 0;
	return (uint64_t)v > count_max ? count_max : (uint64_t)v;
}

static void on_start(struct nixlog *log, json_t *event)
{
	json_int_t type = json_integer_value(json_object_get(event, "type"));
	const char *drv = json_string_value(json_array_get(json_object_get(event, "fields"), 0));
	const char *text = json_string_value(json_object_get(event, "text"));
	struct activity *act;

	if (log->n_acts == ACTIVITIES_MAX || !json_is_integer(json_object_get(event, "id")))
		return;
	if (log->n_acts == log->cap_acts) {
		log->cap_acts = log->cap_acts ? 2 * log->cap_acts : 16;
		log->acts = xrealloc_array(log->acts, log->cap_acts, sizeof(*log->acts));
	}
	act = &log->acts[log->n_acts++];
	*act = (struct activity){.id = (uint64_t)json_integer_value(json_object_get(event, "id")),
				 .type = type_index(type),
				 .build = type == ACT_BUILD};
	if (act->build && drv)
		act->text = xstrndup(drv, strnlen(drv, KEPT_LINE_MAX));
	else if (!act->build && str_has(text))
		act->text = xstrndup(text, strnlen(text, KEPT_LINE_MAX));
}

static void promise(struct nixlog *log, struct activity *act, int type, uint64_t expected)
{
	log->sums[type].expected += expected - act->promised[type];
	act->promised[type] = expected;
}

static void add_capped(uint64_t *sum, uint64_t n)
{
	*sum = *sum + n > count_max ? count_max : *sum + n;
}

static void on_stop(struct nixlog *log, json_t *event)
{
	struct activity *act = find_activity(log, event);

	if (!act)
		return;
	for (int i = 0; i < ACT_TYPES; i++)
		promise(log, act, i, 0);
	if (act->type >= 0) {
		add_capped(&log->sums[act->type].done, act->done);
		add_capped(&log->sums[act->type].failed, act->failed);
	}
	if (act->build && act->lines.n > 0 && act->text) {
		struct activity *slot = &log->ended[log->n_ended++ % ENDED_MAX];

		release_activity(slot);
		*slot = *act;
	} else {
		release_activity(act);
	}
	log->n_acts--;
	memmove(act, act + 1, (size_t)(log->acts + log->n_acts - act) * sizeof(*act));
}

static void on_build_line(struct nixlog *log, struct activity *act, const char *line)
{
	_cleanup_free_ char *name = short_name(act->text);
	size_t n = strlen(line);
	struct strv *kept = &act->lines;

	say(log, NIXLOG_BUILD, name, line, n, false);
	if (!act->build)
		return;
	if (kept->n == log->options.keep) {
		free(kept->v[0]);
		memmove(kept->v, kept->v + 1, kept->n * sizeof(*kept->v)); /* the NULL too */
		kept->n--;
	}
	strv_add_take(kept, xstrndup(line, n < KEPT_LINE_MAX ? n : KEPT_LINE_MAX));
}

static void on_result(struct nixlog *log, json_t *event)
{
	json_int_t type = json_integer_value(json_object_get(event, "type"));
	json_t *fields = json_object_get(event, "fields");
	const char *line = json_string_value(json_array_get(fields, 0));
	struct activity *act = find_activity(log, event);
	int of;

	if (!act)
		return;
	if ((type == RES_BUILD_LOG_LINE || type == RES_POST_BUILD_LOG_LINE) && line)
		on_build_line(log, act, line);
	if (type == RES_PROGRESS) {
		act->done = count_of(fields, 0);
		act->expected = count_of(fields, 1);
		act->failed = count_of(fields, 3);
	}
	of = type_index(json_integer_value(json_array_get(fields, 0)));
	if (type == RES_SET_EXPECTED && of >= 0)
		promise(log, act, of, count_of(fields, 1));
}

static void on_message(struct nixlog *log, json_t *event)
{
	const char *msg = json_string_value(json_object_get(event, "msg"));
	json_int_t level = json_integer_value(json_object_get(event, "level"));
	_cleanup_str_ struct str plain = STR_INIT;
	enum nixlog_kind kind = NIXLOG_NOTE;

	if (!msg)
		return;
	nixlog_add_clean(&plain, msg, strlen(msg), false);
	/* Level 0 is also what builtins.trace has. */
	if (level == LEVEL_ERROR && (json_object_get(event, "raw_msg") || str_starts(str_text(&plain), "error:")))
		kind = NIXLOG_ERROR;
	else if (level == LEVEL_WARN || str_starts(str_text(&plain), "warning:"))
		kind = NIXLOG_WARNING;
	say(log, kind, NULL, msg, strlen(msg), level > LEVEL_INFO);
}

/* True when the n bytes, behind "@nix ", were an event. */
static bool line_event(struct nixlog *log, const char *bytes, size_t n)
{
	_cleanup_json_ json_t *event = NULL;
	const char *action;

	if (json_parse(bytes, n, LINE_MAX_BYTES, DEPTH_MAX, &event, NULL) < 0)
		return false;
	action = json_string_value(json_object_get(event, "action"));
	if (!action)
		return false;
	if (strcmp(action, "start") == 0)
		on_start(log, event);
	else if (strcmp(action, "stop") == 0)
		on_stop(log, event);
	else if (strcmp(action, "result") == 0)
		on_result(log, event);
	else if (strcmp(action, "msg") == 0 && json_is_string(json_object_get(event, "msg")))
		on_message(log, event);
	else
		return false;
	return true;
}

static void end_line(struct nixlog *log)
{
	const char *p = str_text(&log->line);
	size_t n = log->line.len;

	if (log->cut || n < 5 || memcmp(p, "@nix ", 5) != 0 || !line_event(log, p + 5, n - 5))
		say(log, NIXLOG_TEXT, NULL, p, n, false);
	str_clear(&log->line);
	log->cut = false;
}

void nixlog_feed(struct nixlog *log, const char *bytes, size_t n)
{
	while (n > 0) {
		const char *nl = memchr(bytes, '\n', n);
		size_t piece = nl ? (size_t)(nl - bytes) : n;
		size_t room = LINE_MAX_BYTES - log->line.len;

		str_add(&log->line, bytes, piece < room ? piece : room);
		log->cut = log->cut || piece > room;
		if (nl) {
			end_line(log);
			piece++;
		}
		bytes += piece;
		n -= piece;
	}
}

void nixlog_end(struct nixlog *log)
{
	if (log->line.len > 0)
		end_line(log);
}

static struct sums sum_of(const struct nixlog *log, int type)
{
	struct sums s = log->sums[type - ACT_FIRST];
	uint64_t expected = s.done;

	for (size_t i = 0; i < log->n_acts; i++) {
		const struct activity *act = &log->acts[i];

		if (act->type != type - ACT_FIRST)
			continue;
		s.done += act->done;
		s.failed += act->failed;
		expected += act->expected;
	}
	if (expected > s.expected)
		s.expected = expected;
	return s;
}

void nixlog_progress(const struct nixlog *log, struct nixlog_progress *ret)
{
	struct sums builds = sum_of(log, ACT_BUILDS);
	struct sums copies = sum_of(log, ACT_COPY_PATHS);
	struct sums bytes = sum_of(log, ACT_FILE_TRANSFER);
	struct nixlog_progress p = {0};

	if (bytes.expected == 0)
		bytes = sum_of(log, ACT_COPY_PATH);
	for (size_t i = 0; i < log->n_acts; i++) {
		int type = log->acts[i].type + ACT_FIRST;

		p.building += type == ACT_BUILD;
		p.fetching += type == ACT_FILE_TRANSFER || type == ACT_COPY_PATH;
		p.querying += type == ACT_QUERY_PATH_INFO;
	}
	p.builds_done = builds.done;
	p.builds_expected = builds.expected;
	p.builds_failed = builds.failed;
	p.copies_done = copies.done;
	p.copies_expected = copies.expected;
	p.bytes_done = bytes.done;
	p.bytes_expected = bytes.expected;
	*ret = p;
}

static void add_size(struct str *to, uint64_t bytes)
{
	if (bytes < 1 << 10)
		str_addf(to, "%llu B", (unsigned long long)bytes);
	else if (bytes < 1 << 20)
		str_addf(to, "%.1f KiB", (double)bytes / (1 << 10));
	else if (bytes < 1 << 30)
		str_addf(to, "%.1f MiB", (double)bytes / (1 << 20));
	else
		str_addf(to, "%.1f GiB", (double)bytes / (1 << 30));
}

/* The latest activity that is a build, or has a text to show. */
static const struct activity *latest(const struct nixlog *log, bool build)
{
	for (size_t i = log->n_acts; i > 0; i--)
		if (log->acts[i - 1].build == build && log->acts[i - 1].text)
			return &log->acts[i - 1];
	return NULL;
}

void nixlog_add_summary(const struct nixlog *log, struct str *to)
{
	const struct activity *build = latest(log, true);
	const struct activity *other = latest(log, false);
	struct nixlog_progress p;

	nixlog_progress(log, &p);
	if (p.building > 0 || p.builds_done < p.builds_expected) {
		_cleanup_free_ char *name = build ? short_name(build->text) : NULL;

		str_addf(to, "building%s%s", name ? " " : "", name ? name : "");
		if (p.builds_expected > 0)
			str_addf(to, " (%llu/%llu)", (unsigned long long)p.builds_done,
				 (unsigned long long)p.builds_expected);
		if (p.builds_failed > 0)
			str_addf(to, ", %llu failed", (unsigned long long)p.builds_failed);
	}
	if (p.copies_done < p.copies_expected || (p.fetching > 0 && p.querying == 0)) {
		str_addf(to, "%sfetching ", p.building > 0 || p.builds_done < p.builds_expected ? ", " : "");
		add_size(to, p.bytes_done);
		if (p.bytes_expected > p.bytes_done) {
			str_addc(to, '/');
			add_size(to, p.bytes_expected);
		}
	} else if (p.building == 0 && p.builds_done >= p.builds_expected) {
		if (other)
			str_add_printable(to, other->text, strlen(other->text), false);
		else
			str_adds(to, "evaluating");
	}
}

void nixlog_add_failure(const struct nixlog *log, struct str *to)
{
	if (log->errors.len == 0) {
		str_add(to, str_text(&log->text), log->text.len < ERRORS_MAX ? log->text.len : ERRORS_MAX);
		return;
	}
	str_add(to, log->errors.p, log->errors.len);
	for (size_t i = 0; i < ENDED_MAX; i++) {
		const struct activity *act = &log->ended[i];
		_cleanup_free_ char *name = NULL;

		if (!act->text || !strstr(log->errors.p, act->text))
			continue;
		name = short_name(act->text);
		str_addf(to, "last lines of %s's log:\n", name);
		for (size_t k = 0; k < act->lines.n; k++) {
			str_adds(to, "  > ");
			nixlog_add_clean(to, act->lines.v[k], strlen(act->lines.v[k]), log->options.colours);
			str_addc(to, '\n');
		}
	}
}

const char *nixlog_text(const struct nixlog *log)
{
	return str_text(&log->text);
}
