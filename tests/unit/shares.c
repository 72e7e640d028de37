/* --share-rw and --share-ro: PATH:AT, the default places, and what is refused or asked for. */
#include "test.h"

#include "box/shares.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(path_and_place)
{
	static const struct {
		const char *text;
		const char *path;
		const char *at; /* NULL: the default */
		int r;
	} cases[] = {
		{"/a/b", "/a/b", NULL, 0},
		{"a", "a", NULL, 0},
		{"/a/b:/c", "/a/b", "/c", 0},
		{"../a:/c//d/", "../a", "/c/d", 0},
		{"/with:colon", "/with:colon", NULL, 0},
		{"/a:/b:/c", "/a:/b", "/c", 0},
		{"/a b\n:/c d", "/a b\n", "/c d", 0},
		{"/a:relative", "/a:relative", NULL, 0},
		{"/a:/c/../d", NULL, NULL, -EINVAL},
		{"/a:/./d", NULL, NULL, -EINVAL},
		{"/a:/", NULL, NULL, -EINVAL},
		{":/c", NULL, NULL, -EINVAL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_err_ struct err *e = NULL;
		_cleanup_free_ char *path = NULL;
		_cleanup_free_ char *at = NULL;

		CHECK(shares_parse(cases[i].text, &path, &at, &e) == cases[i].r);
		CHECK((cases[i].r == 0) == !e);
		if (cases[i].r < 0)
			continue;
		CHECK_STR(path, cases[i].path);
		CHECK(!at == !cases[i].at);
		if (at)
			CHECK_STR(at, cases[i].at);
	}
}

TEST(default_places)
{
	static const struct {
		const char *path;
		bool read_only;
		const char *place;
	} cases[] = {
		{"/a/data", false, "/mnt/host-rw/data"},    {"/b/data", false, "/mnt/host-rw/data-2"},
		{"/b/data", true, "/mnt/host-ro/data"},     {"/c/data-2", false, "/mnt/host-rw/data-2-2"},
		{"/c/data", false, "/mnt/host-rw/data-3"},  {"/x/with space", true, "/mnt/host-ro/with space"},
		{"/x/..data", true, "/mnt/host-ro/..data"},
	};
	_cleanup_strv_ struct strv taken = STRV_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *place = shares_place(cases[i].path, cases[i].read_only, &taken);

		CHECK_STR(place, cases[i].place);
		strv_add(&taken, place);
	}
}

static enum shares_verdict judged(const char *path, const char *home, const char *own)
{
	const char *const owns[] = {own, NULL};
	const struct shares_places places = {.home = home, .own = owns};
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	_cleanup_free_ char *real = realpath(path, NULL);
	_cleanup_free_ char *why = NULL;
	enum shares_verdict v = fd < 0 ? SHARES_FINE : shares_judge(real, fd, &places, &why);

	CHECK(fd >= 0 && (v == SHARES_FINE) == !why);
	return v;
}

TEST(places_of_the_system)
{
	static const struct {
		const char *path;
		enum shares_verdict verdict;
	} cases[] = {
		{"/", SHARES_REFUSED},         {"/boot", SHARES_REFUSED},    {"/proc", SHARES_REFUSED},
		{"/proc/sys", SHARES_REFUSED}, {"/sys", SHARES_REFUSED},     {"/sys/class", SHARES_REFUSED},
		{"/dev", SHARES_REFUSED},      {"/dev/pts", SHARES_REFUSED}, {"/dev/null", SHARES_REFUSED},
		{"/usr/..", SHARES_REFUSED},   {"/etc", SHARES_ASK},         {"/etc/ssl", SHARES_ASK},
		{"/usr/share", SHARES_ASK},    {"/bin/sh", SHARES_ASK},      {"/home", SHARES_ASK},
		{"/var", SHARES_ASK},          {"/var/lib", SHARES_ASK},     {"/tmp", SHARES_ASK},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (access(cases[i].path, F_OK) == 0)
			CHECK(judged(cases[i].path, NULL, NULL) == cases[i].verdict);
}

struct tree {
	char *dir;
	char *before;
};

static struct tree make_tree(void)
{
	static const char *const folders[] = {
		"home",  "home/.ssh", "home/work", "home/state", "home/state/own", "home/state/own/x",
		"mount", "a",         "a/data",    "b",          "b/data",         "b/data/inner"};
	static const char *const links[][2] = {
		{"/", "to-root"}, {"/proc/self", "to-proc"}, {"home/.ssh", "to-ssh"}, {"a/data", "to-data"}};
	char name[] = "/var/tmp/igloo-shares-XXXXXX";
	struct tree t = {NULL, NULL};

	if (!mkdtemp(name))
		abort();
	t.dir = realpath(name, NULL);
	t.before = getcwd(NULL, 0);
	if (!t.dir || chdir(t.dir) < 0)
		abort();
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdir(folders[i], 0755) < 0)
			abort();
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlink(links[i][0], links[i][1]) < 0)
			abort();
	if (setenv("HOME", "home", 1) < 0 || setenv("XDG_STATE_HOME", "home/state", 1) < 0)
		abort();
	return t;
}

static void tree_release(struct tree *t)
{
	_cleanup_close_ int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)!chdir(t->before);
	(void)file_remove_tree(top, t->dir + 1, NULL);
	free(t->dir);
	free(t->before);
}
/* Used by being there. */
#define _cleanup_tree_ ATTR_CLEANUP(tree_release) ATTR_UNUSED

TEST(places_of_the_user)
{
	_cleanup_tree_ struct tree t = make_tree();
	_cleanup_free_ char *home = xasprintf("%s/home", t.dir);
	_cleanup_free_ char *own = xasprintf("%s/home/state/own", t.dir);

	CHECK(judged("home/work", home, own) == SHARES_FINE);
	CHECK(judged("a", home, own) == SHARES_FINE);
	CHECK(judged("home/.ssh", home, own) == SHARES_ASK);
	CHECK(judged("to-ssh", home, own) == SHARES_ASK);
	CHECK(judged("home", home, NULL) == SHARES_ASK);
	CHECK(judged("home", home, own) == SHARES_REFUSED);
	CHECK(judged(t.dir, home, own) == SHARES_REFUSED);
	CHECK(judged("home/state/own", home, own) == SHARES_REFUSED);
	CHECK(judged("home/state/own/x", home, own) == SHARES_REFUSED);
	CHECK(judged("to-root", home, own) == SHARES_REFUSED);
	CHECK(judged("to-proc", home, own) == SHARES_REFUSED);
}

/* In namespaces of its own: 0 as it should be, 1 not, 2 when there can be none. */
static int judge_mounts(const char *home, const char *own)
{
	static const struct {
		const char *what;
		enum shares_verdict verdict;
	} mounts[] = {{"/", SHARES_REFUSED},     {"/etc", SHARES_ASK},      {"home/state", SHARES_REFUSED},
		      {"home", SHARES_REFUSED},  {"home/.ssh", SHARES_ASK}, {"/proc", SHARES_REFUSED},
		      {"home/work", SHARES_FINE}};

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || mount("/", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 2;
	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		enum shares_verdict v;

		if (mount(mounts[i].what, "mount", NULL, MS_BIND | MS_REC, NULL) < 0)
			return 2;
		v = judged("mount", home, own);
		if (v != mounts[i].verdict)
			printf("# %s, mounted elsewhere: %d\n", mounts[i].what, (int)v);
		if (v != mounts[i].verdict)
			return 1;
		(void)umount2("mount", MNT_DETACH);
	}
	return 0;
}

TEST(the_same_by_another_mount)
{
	_cleanup_tree_ struct tree t = make_tree();
	_cleanup_free_ char *home = xasprintf("%s/home", t.dir);
	_cleanup_free_ char *own = xasprintf("%s/home/state/own", t.dir);
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int r = judge_mounts(home, own);

		(void)fflush(stdout);
		_exit(r);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		test_lacks = "user namespaces";
	else
		CHECK(WEXITSTATUS(status) == 0);
}

struct put {
	const char *first;
	const char *second;
	bool machine;
	int r;
	const char *target; /* of the second */
};

static void check_put(const struct put *c)
{
	_cleanup_err_ struct err *e = NULL;
	struct shares s = {NULL, 0};
	struct box_spec spec = {0};
	int r = shares_add(&s, c->first, false, &e);

	CHECK(r == 0 && shares_add(&s, c->second, false, &e) == 0);
	r = shares_put(&s, c->machine, &spec, &e);
	if (r != c->r)
		printf("# %s %s: %d %s\n", c->first, c->second, r, e ? err_message(e) : "");
	CHECK(r == c->r);
	if (r == 0)
		CHECK_STR(spec.shares[1].target, c->target);
	shares_release(&s);
	box_spec_release(&spec);
}

TEST(where_they_are)
{
	static const struct put cases[] = {
		{"a/data", "b/data", true, 0, "/mnt/host-rw/data-2"},
		{"a/data:/mnt/host-rw/data", "b/data", true, 0, "/mnt/host-rw/data-2"},
		{"b/data", "a/data:/mnt/host-rw/data", true, 0, "/mnt/host-rw/data"},
		{"a/data:/x", "to-data:/y", false, 0, "/y"},
		{"a/data:/x", "b/data:/x", false, -EINVAL, NULL},
		{"a/data:/x/y", "b/data:/x", false, -EINVAL, NULL},
		{"b/data:/x", "a/data:/x/inner", false, 0, "/x/inner"},
		{"b/data:/x", "a/data:/x/other", false, -EINVAL, NULL},
		{"a/data:/x", "a/data:/x", false, 0, "/x"},
		{"a/data:/x", "b/data:/etc/x", false, -EINVAL, NULL},
	};
	_cleanup_tree_ struct tree t = make_tree();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_put(&cases[i]);
}

TEST(what_was_replaced)
{
	_cleanup_tree_ struct tree t = make_tree();
	_cleanup_err_ struct err *e = NULL;
	struct shares s = {NULL, 0};
	struct box_spec spec = {0};

	CHECK(shares_add(&s, "a/data", true, &e) == 0);
	CHECK(rename("a/data", "a/moved") == 0 && mkdir("a/data", 0755) == 0);
	CHECK(shares_put(&s, false, &spec, &e) == -ESTALE);
	err_clear(&e);
	box_spec_release(&spec);
	CHECK(rmdir("a/data") == 0 && symlink("../b/data", "a/data") == 0);
	CHECK(shares_put(&s, true, &spec, &e) == -ESTALE);
	shares_release(&s);
	box_spec_release(&spec);
}

TEST_MAIN()
