#include "test.h"

#include "nix/nixconf.h"
#include "sys/file.h"

#include <sys/stat.h>

static char *folder;

static void put(const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", folder, name);
	FILE *f = fopen(path, "we");

	CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void make(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", folder, name);

	CHECK(mkdir(path, 0700) == 0);
}

static void set(const char *name, const char *value)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", folder, value);

	CHECK(setenv(name, path, 1) == 0);
}

static char *joined(const struct strv *v)
{
	struct str s = STR_INIT;

	for (size_t i = 0; i < v->n; i++)
		str_addf(&s, "%s%s", i ? " " : "", v->v[i]);
	return str_take(&s);
}

#define READS(subst, key)                                         \
	do {                                                      \
		_cleanup_nixconf_ struct nixconf c_;              \
		_cleanup_free_ char *list_ = NULL, *keys_ = NULL; \
		nixconf_read(&c_);                                \
		list_ = joined(&c_.substituters);                 \
		keys_ = joined(&c_.keys);                         \
		CHECK_STR(list_, subst);                          \
		CHECK_STR(keys_, key);                            \
	} while (0)

TEST(layers)
{
	char dir[] = "/tmp/igloo-nixconf-XXXXXX";

	CHECK(mkdtemp(dir));
	folder = dir;
	make("etc");
	make("home");
	make("home/nix");
	make("xdg");
	make("xdg/nix");
	(void)unsetenv("NIX_CONFIG");
	(void)unsetenv("NIX_USER_CONF_FILES");
	set("NIX_CONF_DIR", "etc");
	set("XDG_CONFIG_HOME", "home");
	set("XDG_CONFIG_DIRS", "xdg");
	READS(NIXCONF_DEFAULT_CACHE, NIXCONF_DEFAULT_KEY);
	put("etc/nix.conf",
	    "# https://no\nsubstituters = https://a https://b#c\n\textra-trusted-public-keys =  k1:x \r\n"
	    "!include more.conf\ninclude missing.conf\nsandbox = false\nsubstituters\nextra-substituters=x\n");
	put("etc/more.conf", "extra-substituters = https://a https://more\n!include more.conf\n");
	READS("https://a https://b https://more", NIXCONF_DEFAULT_KEY " k1:x");
	put("xdg/nix/nix.conf", "extra-substituters = https://xdg\ntrusted-public-keys = k2:y\n");
	READS("https://a https://b https://more https://xdg", "k2:y");
	put("home/nix/nix.conf", "binary-caches = https://home\n");
	READS("https://home", "k2:y");
	(void)setenv("NIX_CONFIG", "extra-substituters = http://10.0.0.1:8080/x", 1);
	READS("https://home http://10.0.0.1:8080/x", "k2:y");
	set("NIX_USER_CONF_FILES", "etc/more.conf");
	READS("https://a https://b https://more http://10.0.0.1:8080/x", NIXCONF_DEFAULT_KEY " k1:x");
	{
		_cleanup_close_ int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		CHECK(file_remove_tree(tmp, dir + strlen("/tmp/"), NULL) == 0);
	}
}

TEST(hosts)
{
	static const struct {
		const char *url;
		const char *host;
		uint16_t port;
	} good[] = {
		{"https://cache.nixos.org/", "cache.nixos.org", 443},
		{"http://a.b?priority=3", "a.b", 80},
		{"https://a.b:8443/x/y", "a.b", 8443},
		{"http://[fd00::1]:80", "[fd00::1]", 80},
		{"http://10.0.0.1:8080", "10.0.0.1", 8080},
	};
	static const char *const bad[] = {"file:///x",       "s3://bucket",   "ssh://h",         "https://u:p@h/",
					  "https://h:p@h/",  "https://",      "https:///x",      "https://h:0/",
					  "https://h:65536", "https://h:80x", "http://[fd00::1", "daemon",
					  "https://h#x",     "HTTPS://h",     "https://h%2f"};
	char host[NIXCONF_HOST_SIZE];
	uint16_t port;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK(nixconf_cache_host(good[i].url, host, &port) && port == good[i].port);
		CHECK_STR(host, good[i].host);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(!nixconf_cache_host(bad[i], host, &port));
}

TEST(flake)
{
	static const char text[] = "{\"extra-substituters\": [\"https://x.example\", 3, \"bad one\", \"\"], "
				   "\"trusted-public-keys\": \"a:b  c:d\", \"bash-prompt\": \"x\", "
				   "\"extra-trusted-public-keys\": {}}";
	_cleanup_nixconf_ struct nixconf c = {.keys = STRV_INIT};
	_cleanup_free_ char *caches = NULL;
	_cleanup_free_ char *keys = NULL;

	CHECK(nixconf_read_flake(text, strlen(text), &c, NULL) == 0);
	caches = joined(&c.substituters);
	keys = joined(&c.keys);
	CHECK_STR(caches, "https://x.example");
	CHECK_STR(keys, "a:b c:d");
	CHECK(nixconf_read_flake("[", 1, &c, NULL) == -22);
}

TEST_MAIN()
