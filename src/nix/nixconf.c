#include "nix/nixconf.h"
#include "fmt/json.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20, INCLUDES_MAX = 8, URL_MAX = 1024, FLAKE_MAX = 1 << 16, FLAKE_DEPTH = 8 };

/* Names in Nix's own source, each with its older one. */
enum list { SUBSTITUTERS, KEYS };
static const struct {
	const char *name;
	enum list list;
	bool extra;
} settings[] = {
	{"substituters", SUBSTITUTERS, false},      {"binary-caches", SUBSTITUTERS, false},
	{"extra-substituters", SUBSTITUTERS, true}, {"extra-binary-caches", SUBSTITUTERS, true},
	{"trusted-public-keys", KEYS, false},       {"binary-cache-public-keys", KEYS, false},
	{"extra-trusted-public-keys", KEYS, true},  {"extra-binary-cache-public-keys", KEYS, true},
};

static void add_file(struct nixconf *c, const char *path, unsigned depth);

static bool item_ok(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '#')
			return false;
	return n > 0 && n <= URL_MAX;
}

static void add_item(struct strv *list, const char *text)
{
	if (item_ok(text) && !strv_has(list, text) && list->n < NIXCONF_ITEMS_MAX)
		strv_add(list, text);
}

static struct strv *list_of(struct nixconf *c, size_t setting)
{
	return settings[setting].list == SUBSTITUTERS ? &c->substituters : &c->keys;
}

static void set(struct nixconf *c, char *const *words, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		struct strv *list = list_of(c, i);

		if (strcmp(words[0], settings[i].name) != 0)
			continue;
		if (!settings[i].extra)
			strv_release(list);
		for (size_t k = 2; k < n; k++)
			add_item(list, words[k]);
	}
}

static void include(struct nixconf *c, const char *name, const char *from, unsigned depth)
{
	const char *slash = from ? strrchr(from, '/') : NULL;
	_cleanup_free_ char *path = NULL;

	if (!from || depth == INCLUDES_MAX)
		return;
	if (name[0] == '/')
		path = xstrdup(name);
	else
		path = xasprintf("%.*s/%s", slash ? (int)(slash - from) : 0, from, name);
	add_file(c, path, depth + 1);
}

static void add_line(struct nixconf *c, char *line, const char *path, unsigned depth)
{
	_cleanup_strv_ struct strv words = STRV_INIT;

	line[strcspn(line, "#")] = '\0';
	for (char *p = line; *p; p++)
		if (*p == '\t' || *p == '\r')
			*p = ' ';
	strv_split(&words, line, ' ');
	if (words.n == 2 && (strcmp(words.v[0], "include") == 0 || strcmp(words.v[0], "!include") == 0))
		include(c, words.v[1], path, depth);
	else if (words.n >= 2 && strcmp(words.v[1], "=") == 0)
		set(c, words.v, words.n);
}

static void add_text(struct nixconf *c, const char *text, const char *path, unsigned depth)
{
	_cleanup_strv_ struct strv lines = STRV_INIT;

	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.n; i++)
		add_line(c, lines.v[i], path, depth);
}

static void add_file(struct nixconf *c, const char *path, unsigned depth)
{
	_cleanup_close_ int fd = file_open_user(path, O_RDONLY | O_NONBLOCK);
	_cleanup_str_ struct str text = STR_INIT;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || fd_read_all(fd, FILE_MAX, &text, NULL) < 0)
		return;
	add_text(c, str_text(&text), path, depth);
}

void nixconf_add(struct nixconf *c, const char *text, const char *path)
{
	add_text(c, text, path, 0);
}

/* The first has the last word. */
static void user_files(struct strv *to)
{
	const char *home = getenv("HOME");
	const char *given = getenv("NIX_USER_CONF_FILES");
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *dirs = getenv("XDG_CONFIG_DIRS");
	_cleanup_strv_ struct strv folders = STRV_INIT;

	if (given) {
		strv_split(to, given, ':');
		return;
	}
	if (str_has(config))
		strv_add(&folders, config);
	else if (str_has(home))
		strv_addf(&folders, "%s/.config", home);
	strv_split(&folders, dirs ? dirs : "/etc/xdg", ':');
	for (size_t i = 0; i < folders.n; i++)
		strv_addf(to, "%s/nix/nix.conf", folders.v[i]);
}

void nixconf_read(struct nixconf *ret)
{
	const char *dir = getenv("NIX_CONF_DIR");
	const char *text = getenv("NIX_CONFIG");
	_cleanup_free_ char *machine = xasprintf("%s/nix.conf", str_has(dir) ? dir : "/etc/nix");
	_cleanup_strv_ struct strv files = STRV_INIT;

	*ret = (struct nixconf){.keys = STRV_INIT};
	strv_add(&ret->substituters, NIXCONF_DEFAULT_CACHE);
	strv_add(&ret->keys, NIXCONF_DEFAULT_KEY);
	add_file(ret, machine, 0);
	user_files(&files);
	for (size_t i = files.n; i-- > 0;)
		if (files.v[i][0] == '/')
			add_file(ret, files.v[i], 0);
	if (text)
		add_text(ret, text, NULL, 0);
}

void nixconf_release(struct nixconf *c)
{
	strv_release(&c->substituters);
	strv_release(&c->keys);
}

/* --- flakes ------------------------------------------------------------------------------------------------------ */

/* Words of one text, as in a configuration file, or a list. */
static void add_member(struct strv *list, const json_t *value)
{
	_cleanup_strv_ struct strv words = STRV_INIT;
	const json_t *item;
	size_t i;

	if (json_is_string(value))
		strv_split(&words, json_string_value(value), ' ');
	for (size_t k = 0; k < words.n; k++)
		add_item(list, words.v[k]);
	if (json_is_array(value))
		json_array_foreach(value, i, item) if (json_is_string(item)) add_item(list, json_string_value(item));
}

int nixconf_read_flake(const char *json, size_t n, struct nixconf *ret, struct err **e)
{
	_cleanup_json_ json_t *config = NULL;
	int r = json_parse(json, n, FLAKE_MAX, FLAKE_DEPTH, &config, e);

	if (r < 0)
		return r;
	*ret = (struct nixconf){.keys = STRV_INIT};
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		add_member(list_of(ret, i), json_object_get(config, settings[i].name));
	return 0;
}

/* --- URLs -------------------------------------------------------------------------------------------------------- */

static bool read_port(const char *text, size_t n, uint16_t *ret)
{
	unsigned long port = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9' || port > UINT16_MAX)
			return false;
		port = 10 * port + (unsigned long)(text[i] - '0');
	}
	if (n == 0 || port == 0 || port > UINT16_MAX)
		return false;
	*ret = (uint16_t)port;
	return true;
}

bool nixconf_cache_host(const char *url, char ret_host[static NIXCONF_HOST_SIZE], uint16_t *ret_port)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	bool tls = str_starts(url, "https://");
	const char *host = url + (tls ? 8 : 7);
	size_t n;
	const char *rest;

	if (!tls && !str_starts(url, "http://"))
		return false;
	if (host[0] == '[') {
		n = strspn(host + 1, "0123456789abcdefABCDEF:.") + 1;
		if (host[n++] != ']')
			return false;
	} else {
		n = strspn(host, good);
	}
	if (n == 0 || n >= NIXCONF_HOST_SIZE)
		return false;
	rest = host + n;
	*ret_port = tls ? 443 : 80;
	if (*rest == ':') {
		size_t digits = strcspn(rest + 1, "/?#");

		if (!read_port(rest + 1, digits, ret_port))
			return false;
		rest += 1 + digits;
	}
	if (*rest && !strchr("/?", *rest))
		return false;
	memcpy(ret_host, host, n);
	ret_host[n] = '\0';
	return true;
}
