#include "box/requests.h"
#include "box/grants.h"
#include "test.h"

#include <errno.h>
#include <unistd.h>

static int parse(const char *json, struct requests *ret, char **ret_message)
{
	_cleanup_err_ struct err *e = NULL;
	int r = requests_parse(json, strlen(json), ret, &e);

	if (ret_message)
		*ret_message = e ? xstrdup(err_message(e)) : NULL;
	return r;
}

/* "" when it is parsed, else the message. */
static bool refused(const char *json, const char *why)
{
	_cleanup_requests_ struct requests r = {0};
	_cleanup_free_ char *message = NULL;
	bool good = parse(json, &r, &message) < 0 && strstr(message, why);

	if (!good)
		printf("# %s: %s\n", json, message ? message : "(accepted)");
	return good;
}

static char *options_of(const struct requests *r)
{
	_cleanup_str_ struct str s = STR_INIT;

	requests_add_options(&s, r);
	return str_take(&s);
}

static const char full[] =
	"{\"shell\":\"ci\",\"kind\":\"vm\",\"memory\":\"8G\",\"cpus\":4,\"pids\":500,\"timeout\":\"90m\","
	"\"allow\":[\"GitHub.com.\",\"*.example.org:8443\",\"github.com\"],\"ports\":[3000,\"8080:80\"],"
	"\"secrets\":[\"TOKEN\"],\"odd\\u001b[2J\":null}";

TEST(everything)
{
	_cleanup_requests_ struct requests r = {0};
	_cleanup_free_ char *options = NULL;

	CHECK(parse(full, &r, NULL) == 0);
	CHECK_STR(r.shell, "ci");
	CHECK_STR(r.kind, "vm");
	CHECK(r.limit[REQUESTS_MEMORY] == (uint64_t)8 << 30 && r.limit[REQUESTS_CPUS] == 4000);
	CHECK(r.limit[REQUESTS_PIDS] == 500 && r.limit[REQUESTS_TIMEOUT] == 90 * 60 * 1000);
	CHECK(requests_count(&r) == 2 + 2 + 1 + 4);
	CHECK(r.unknown.n == 1 && !strchr(r.unknown.v[0], '\033'));
	options = options_of(&r);
	CHECK_STR(options, " --allow '*.example.org:8443' --allow github.com -p 3000:3000 -p 8080:80 --secret TOKEN "
			   "--cpus 4 --memory 8G --pids 500 --timeout 90m");
}

TEST(bound_secrets)
{
	_cleanup_requests_ struct requests r = {0};
	_cleanup_requests_ struct requests again = {0};
	_cleanup_strv_ struct strv lines = STRV_INIT;
	_cleanup_str_ struct str json = STR_INIT;
	_cleanup_free_ char *options = NULL;

	CHECK(parse("{\"secrets\":[\"T@API.example.org.:443\",\"T@api.example.org\",\"T@example.org:8443\"]}", &r,
		    NULL) == 0);
	options = options_of(&r);
	CHECK_STR(options, " --secret T@api.example.org --secret T@example.org:8443");
	requests_add_json(&json, &r);
	CHECK(parse(str_text(&json), &again, NULL) == 0 && again.list[REQUESTS_SECRETS].n == 2);
	requests_add_lines(&lines, &r, NULL);
	CHECK(str_starts(lines.v[0], "secret   T@api.example.org (in requests to that host"));
	CHECK(refused("{\"secrets\":[\"T@*.example.org\"]}", "'secrets', entry 1"));
	CHECK(refused("{\"secrets\":[\"T@example.org=V\"]}", "'secrets', entry 1"));
	CHECK(refused("{\"secrets\":[\"T@example.org:80\"]}", "not encrypted"));
}

TEST(nothing)
{
	_cleanup_requests_ struct requests r = {0};

	CHECK(parse("", &r, NULL) == 0 && requests_count(&r) == 0);
	CHECK(parse("{\"allow\":null,\"shell\":null,\"memory\":null}", &r, NULL) == 0 && requests_count(&r) == 0);
}

TEST(wrong_types)
{
	CHECK(refused("[]", "no set"));
	CHECK(refused("{", "not JSON"));
	CHECK(refused("{\"allow\":\"github.com\"}", "allow"));
	CHECK(refused("{\"allow\":[1]}", "'allow', entry 1: it is no text"));
	CHECK(refused("{\"allow\":[\"a.org\",\"b c\"]}", "'allow', entry 2"));
	CHECK(refused("{\"allow\":[\"a\\u0000.org\"]}", "not JSON"));
	CHECK(refused("{\"allow\":[\"a.org\\u001b[1A\"]}", "entry 1"));
	CHECK(refused("{\"allow\":[],\"allow\":[\"a.org\"]}", "not JSON"));
	CHECK(refused("{\"ports\":[3.5]}", "'ports', entry 1"));
	CHECK(refused("{\"ports\":[0]}", "'ports', entry 1"));
	CHECK(refused("{\"ports\":[-1]}", "'ports', entry 1"));
	CHECK(refused("{\"ports\":[70000]}", "'ports', entry 1"));
	CHECK(refused("{\"secrets\":[\"A=B\"]}", "'secrets', entry 1"));
	CHECK(refused("{\"secrets\":{}}", "secrets"));
	CHECK(refused("{\"memory\":true}", "'memory' must be"));
	CHECK(refused("{\"memory\":\"1K\"}", "'memory'"));
	CHECK(refused("{\"cpus\":-1}", "'cpus' must be"));
	CHECK(refused("{\"pids\":1.5}", "'pids'"));
	CHECK(refused("{\"timeout\":1e300}", "'timeout' must be"));
	CHECK(refused("{\"shell\":\"a b\"}", "'shell' is no name"));
	CHECK(refused("{\"kind\":1}", "kind"));
}

TEST(bounds)
{
	_cleanup_str_ struct str s = STR_INIT;
	_cleanup_str_ struct str large = STR_INIT;

	str_adds(&s, "{\"allow\":[\"a.org\"");
	for (int i = 0; i < REQUESTS_ENTRIES_MAX; i++)
		str_addf(&s, ",\"h%d.org\"", i);
	str_adds(&s, "]}");
	CHECK(refused(str_text(&s), "65 entries"));
	str_adds(&large, "{\"x\":\"");
	for (int i = 0; i < REQUESTS_BYTES_MAX; i++)
		str_addc(&large, 'x');
	str_adds(&large, "\"}");
	CHECK(refused(str_text(&large), "larger than"));
}

TEST(what_is_missing)
{
	_cleanup_requests_ struct requests wanted = {0};
	_cleanup_requests_ struct requests granted = {0};
	_cleanup_requests_ struct requests missing = {0};
	_cleanup_free_ char *options = NULL;

	CHECK(parse(full, &wanted, NULL) == 0);
	requests_missing(&wanted, &granted, &missing);
	CHECK(requests_count(&missing) == requests_count(&wanted));
	requests_add(&granted, &wanted);
	requests_missing(&wanted, &granted, &missing);
	CHECK(requests_count(&missing) == 0);
	/* Narrower. */
	requests_release(&wanted);
	CHECK(parse("{\"allow\":[\"github.com\"],\"memory\":\"4G\"}", &wanted, NULL) == 0);
	requests_missing(&wanted, &granted, &missing);
	CHECK(requests_count(&missing) == 0);
	/* More, and other. */
	requests_release(&wanted);
	CHECK(parse("{\"allow\":[\"github.com\",\"github.com:22\"],\"memory\":\"16G\"}", &wanted, NULL) == 0);
	requests_missing(&wanted, &granted, &missing);
	options = options_of(&missing);
	CHECK_STR(options, " --allow github.com:22 --memory 16G");
}

TEST(lines)
{
	_cleanup_requests_ struct requests wanted = {0};
	_cleanup_requests_ struct requests fresh = {0};
	_cleanup_strv_ struct strv lines = STRV_INIT;

	CHECK(parse("{\"allow\":[\"all\",\"*.a.org\",\"10.0.0.0/"
		    "8:22\",\"10.1.1.1:22\",\"b.org\",\"c.org:*\",\"*.d.org:*\"],\"ports\":[\"0.0.0.0:80:80\"]}",
		    &wanted, NULL) == 0);
	CHECK(parse("{\"allow\":[\"b.org\"]}", &fresh, NULL) == 0);
	requests_add_lines(&lines, &wanted, &fresh);
	CHECK(lines.n == 8);
	CHECK_STR(lines.v[0], "reach    *.a.org (every name below it)");
	CHECK_STR(lines.v[1], "reach    *.d.org:* (every name below it, every port)");
	CHECK_STR(lines.v[2], "reach    10.0.0.0/8:22 (a whole network)");
	CHECK(strstr(lines.v[3], "10.1.1.1:22 (an address"));
	CHECK_STR(lines.v[4], "reach    all (every public host)");
	CHECK_STR(lines.v[5], "reach    b.org  (new)");
	CHECK_STR(lines.v[6], "reach    c.org:* (every port)");
	CHECK(strstr(lines.v[7], "others may reach"));
}

/* What grants keep is what they were given, beside the hosts. */
TEST(kept)
{
	static char id[] = "x-0123456789ab";
	static char repository[] = "/r";
	char place[] = "/tmp/igloo-requests-XXXXXX";
	const struct slot slot = {.id = id, .repository = repository};
	_cleanup_requests_ struct requests wanted = {0};
	_cleanup_requests_ struct requests kept = {0};
	_cleanup_requests_ struct requests missing = {0};
	_cleanup_strv_ struct strv hosts = STRV_INIT;
	_cleanup_strv_ struct strv listed = STRV_INIT;
	const struct strv none = STRV_INIT;
	_cleanup_free_ char *file = NULL;
	_cleanup_free_ char *lock = NULL;
	size_t n = 0;

	CHECK(mkdtemp(place) && setenv("XDG_CONFIG_HOME", place, 1) == 0);
	CHECK(grants_requests(&slot, &kept, NULL) == 0 && requests_count(&kept) == 0);
	CHECK(parse(full, &wanted, NULL) == 0);
	CHECK(grants_add_requests(&slot, &wanted, NULL) == 0);
	strv_add(&hosts, "github.com");
	CHECK(grants_change(GRANTS_REPOSITORY, &slot, &hosts, &none, &n, NULL) == 0 && n == 1);
	CHECK(grants_requests(&slot, &kept, NULL) == 0);
	requests_missing(&wanted, &kept, &missing);
	CHECK(requests_count(&missing) == 0 && requests_count(&kept) == requests_count(&wanted));
	/* deny takes both. */
	CHECK(grants_change(GRANTS_REPOSITORY, &slot, &none, &hosts, &n, NULL) == 0 && n == 2);
	requests_release(&kept);
	CHECK(grants_requests(&slot, &kept, NULL) == 0);
	requests_missing(&wanted, &kept, &missing);
	CHECK(requests_count(&missing) == 1);
	CHECK(grants_list(GRANTS_REPOSITORY, &slot, &listed, NULL) == 0 && listed.n == 0);
	/* More than one flake may ask for at a time. */
	for (int i = 0; i < 3 * REQUESTS_ENTRIES_MAX; i++) {
		_cleanup_free_ char *json = xasprintf("{\"allow\":[\"h%d.org\"]}", i);
		_cleanup_requests_ struct requests one = {0};

		CHECK(parse(json, &one, NULL) == 0 && grants_add_requests(&slot, &one, NULL) == 0);
	}
	CHECK(grants_forget_requests(&slot, &n, NULL) == 0 && n > 3 * REQUESTS_ENTRIES_MAX);
	requests_release(&kept);
	CHECK(grants_requests(&slot, &kept, NULL) == 0 && requests_count(&kept) == 0);
	CHECK(grants_path(GRANTS_REPOSITORY, &slot, &file, NULL) == 0);
	(void)unlink(file);
	lock = xasprintf("%s/igloo/grants/lock", place);
	(void)unlink(lock);
	*strrchr(lock, '/') = '\0';
	(void)rmdir(lock);
	*strrchr(lock, '/') = '\0';
	(void)rmdir(lock);
	(void)rmdir(place);
}

TEST_MAIN()
