/* data/drv holds derivations that Nix 2.8 made from data/drv/generate.nix: what verifies here is
 * verified against Nix's own output paths. */
#include "test.h"

#include "nix/drvclosure.h"
#include "nix/drvpath.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>

#define S "/nix/store/"
#define TOP S "dlv070ys9skb2ajva8zfgqzlvnv5ylk0-top-1.0.drv"
#define LIB S "5rrf0z1y2q5rpy1dlsyg8vbxdkn1j3sg-lib-1.2+git_3?x=y.drv"
#define FLAT S "7714xs9f4qgs82h8nsn17z0s4njr45fz-flat.tar.gz.drv"
#define FLAT2 S "8g9fp54f5ljf99qbpac2vsvhd0jp7q8l-flat.tar.gz.drv"
#define STRUCTURED S "a1aihnbm0lfp1dqkihw8n0r0nk73sip1-structured.drv"
#define ESCAPES S "xrbjvgr1ka03pzdi8jz7j2a1qkvh37s4-escapes.drv"
#define FLOATING S "i5z7x0ys65z6zq7jizmyzpn9nrfdnaak-floating.drv"
#define DEFERRED S "rb3hz8q6yqdl4g4savvfqhlw9g941nhw-deferred.drv"

static const char *const top_outputs[] = {
	S "1h48vji4kxgspjfvwvsc5hfwbf08qn5v-tree",
	S "1y3qlyfhznxgf8624ch5agkzk9jw3h9w-lib-1.2+git_3?x=y-man",
	S "3m3pa4090v2vb3gp06dwmjv632809xa0-big",
	S "7vzi5vw8abi0wxiqg7h2imvsv3pgmlnn-deep",
	S "ard9ha476fcfs0kvijn88zfs6iq30xm5-lib-1.2+git_3?x=y-dev",
	S "cjr3np9jnik0d2nql739sml839596ff3-flat.tar.gz",
	S "d50kp5c6s6l77m7s1wyd6d4bcf0ksvpf-structured",
	S "dr1nj7b0ljvy7f9kgfq0sgkwhy78vm4j-top-1.0",
	S "jfkas7kynhzk76hfhq3sr8hkh43cks8j-escapes",
	S "mr3ymdpgmjfnjahyajs19a4n22w7glfg-structured-lib",
	S "xkg1yjbq8im89w4rpbxq5jifj60v0vyf-lib-1.2+git_3?x=y",
	S "yp7mkjjl9gyj52kr9n1k7khp030fk1lh-older",
	S "zarrbfmhh50jhg3s4k3z2yfk6370kqvy-old",
	S "zy7sc1lw0jqz8w22p22x92j17hjzaxbm-top-1.0-bin",
};

static int data_fd(void)
{
	return open(TEST_DATA "/drv", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void load(int dirfd, const char *path, struct str *to)
{
	CHECK(file_read(dirfd, storepath_base(path), DRV_BYTES_MAX, to, NULL) == 0);
}

TEST(parse_and_write_back)
{
	_cleanup_close_ int fd = data_fd();
	struct dirent *ent;
	size_t n = 0;
	DIR *dir = fdopendir(dup(fd));

	CHECK(dir);
	while ((ent = readdir(dir))) {
		_cleanup_str_ struct str text = STR_INIT;
		_cleanup_str_ struct str again = STR_INIT;
		_cleanup_drv_ struct drv *d = NULL;
		char own[STOREPATH_SIZE];

		if (!str_ends(ent->d_name, ".drv"))
			continue;
		CHECK(file_read(fd, ent->d_name, DRV_BYTES_MAX, &text, NULL) == 0);
		CHECK(drv_parse(text.p, text.len, &d, NULL) == 0);
		drv_unparse(&again, d, false, d->inputs, d->n_inputs);
		CHECK_STR(again.p, text.p);
		CHECK(drvpath_own(text.p, text.len, d, ent->d_name + 33, own, NULL) == 0);
		CHECK_STR(storepath_base(own), ent->d_name);
		n++;
	}
	(void)closedir(dir);
	CHECK(n == 13);
}

TEST(members)
{
	_cleanup_close_ int fd = data_fd();
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_drv_ struct drv *d = NULL;

	load(fd, ESCAPES, &text);
	CHECK(drv_parse(text.p, text.len, &d, NULL) == 0);
	CHECK_STR(d->platform, "x86_64-linux");
	CHECK_STR(d->builder, "/bin/sh");
	CHECK(d->n_args == 4 && d->n_inputs == 0 && d->n_srcs == 0 && d->n_outputs == 1);
	CHECK_STR(d->args[1], "a\nb\tc\rd\"e\\f");
	CHECK_STR(d->args[2], "");
	CHECK_STR(drv_env_get(d, "quote"), "\"quoted\" \\n \\\\");
	CHECK_STR(drv_env_get(d, "lines"), "1\n2\r\n3\t");
	CHECK_STR(drv_env_get(d, "control"), "\001\177");
	CHECK(!drv_env_get(d, "absent"));
	CHECK_STR(drv_output_get(d, "out")->path, S "jfkas7kynhzk76hfhq3sr8hkh43cks8j-escapes");
	CHECK(!drv_output_get(d, "dev"));
}

static const char *const whole[] = {TOP, FLOATING, DEFERRED};

TEST(closure)
{
	_cleanup_close_ int fd = data_fd();
	_cleanup_drv_closure_ struct drv_closure *c = NULL;

	CHECK(drv_closure_read(fd, whole, 3, &c, NULL) == 0);
	for (size_t i = 0; i < c->n_failed; i++)
		printf("# %s: %s\n", c->failed[i].drv, c->failed[i].why);
	CHECK(c->n_failed == 0 && c->n_drvs == 13);
	CHECK(c->n_outputs == ARRAY_SIZE(top_outputs));
	for (size_t i = 0; i < c->n_outputs; i++)
		CHECK_STR(c->outputs[i].path, top_outputs[i]);
	CHECK_STR(drv_closure_find(c, top_outputs[4])->drv, LIB);
	CHECK_STR(drv_closure_find(c, top_outputs[4])->name, "dev");
	CHECK(!drv_closure_find(c, S "c6m3z0xk2zwi926d6c8lz02p0l6gis11-builder.sh"));
}

/* A copy of the data, to change. */
struct copy {
	char *folder;
	int fd;
};

static struct copy copy_data(void)
{
	_cleanup_close_ int from = data_fd();
	const char *tmp = getenv("TMPDIR");
	struct copy c = {.folder = xasprintf("%s/igloo-drv-XXXXXX", tmp ? tmp : "/tmp")};
	DIR *dir = fdopendir(dup(from));
	struct dirent *ent;

	CHECK(dir && mkdtemp(c.folder));
	c.fd = open(c.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while ((ent = readdir(dir))) {
		_cleanup_str_ struct str text = STR_INIT;

		if (!str_ends(ent->d_name, ".drv"))
			continue;
		CHECK(file_read(from, ent->d_name, DRV_BYTES_MAX, &text, NULL) == 0);
		CHECK(file_replace(c.fd, ent->d_name, text.p, text.len, 0600, false, NULL) == 0);
	}
	(void)closedir(dir);
	return c;
}

static void drop(struct copy *c)
{
	_cleanup_close_ int parent = openat(c->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)file_remove_tree(parent, strrchr(c->folder, '/') + 1, NULL);
	c->fd = close_fd(c->fd);
	free(take_ptr(c->folder));
}

/* Replaces the first `what` after `after` in the derivation, puts the result where its bytes belong,
 * and gives that path. */
static char *forge(const struct copy *c, const char *path, const char *what, const char *by)
{
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_str_ struct str forged = STR_INIT;
	_cleanup_drv_ struct drv *d = NULL;
	char own[STOREPATH_SIZE];
	const char *at;

	load(c->fd, path, &text);
	for (const char *p = text.p; p; p = at ? at + strlen(what) : NULL) {
		at = strstr(p, what);
		str_add(&forged, p, at ? (size_t)(at - p) : strlen(p));
		if (at)
			str_adds(&forged, by);
	}
	CHECK(strcmp(text.p, forged.p) != 0);
	CHECK(drv_parse(forged.p, forged.len, &d, NULL) == 0);
	CHECK(drvpath_own(forged.p, forged.len, d, storepath_name(path), own, NULL) == 0);
	CHECK(file_replace(c->fd, storepath_base(own), forged.p, forged.len, 0600, false, NULL) == 0);
	return xstrdup(own);
}

static struct drv_closure *read_one(const struct copy *c, const char *path)
{
	struct drv_closure *closure = NULL;

	CHECK(drv_closure_read(c->fd, &path, 1, &closure, NULL) == 0);
	return closure;
}

#define SECRET S "00000000000000000000000000000000-secret"

TEST(forged_output)
{
	struct copy c = copy_data();
	_cleanup_free_ char *path = forge(&c, LIB, top_outputs[4], SECRET);
	_cleanup_drv_closure_ struct drv_closure *closure = read_one(&c, path);

	CHECK(closure->n_outputs == 0 && closure->n_failed == 1);
	CHECK_STR(closure->failed[0].drv, path);
	CHECK_STR(closure->failed[0].why, "output 'dev' claims the path '" SECRET "', but its own is '" S
					  "ard9ha476fcfs0kvijn88zfs6iq30xm5-lib-1.2+git_3?x=y-dev'");
	drop(&c);
}

TEST(forged_fixed_output)
{
	struct copy c = copy_data();
	_cleanup_free_ char *path = forge(&c, FLAT, top_outputs[5], SECRET);
	_cleanup_drv_closure_ struct drv_closure *closure = read_one(&c, path);

	CHECK(closure->n_outputs == 0 && closure->n_failed == 1);
	CHECK(strstr(closure->failed[0].why, "output 'out' claims the path '" SECRET "'"));
	drop(&c);
}

/* What depends on a derivation that fails, fails; what does not, and a fixed output, stay. */
TEST(forged_input)
{
	struct copy c = copy_data();
	_cleanup_free_ char *lib = forge(&c, LIB, top_outputs[4], SECRET);
	_cleanup_free_ char *structured = forge(&c, STRUCTURED, LIB, lib);
	_cleanup_free_ char *flat2 = forge(&c, FLAT2, LIB, lib);
	_cleanup_drv_closure_ struct drv_closure *a = read_one(&c, structured);
	_cleanup_drv_closure_ struct drv_closure *b = read_one(&c, flat2);

	CHECK(a->n_outputs == 0 && a->n_failed == 2);
	CHECK_STR(a->failed[0].drv, lib);
	CHECK_STR(a->failed[1].drv, structured);
	CHECK(str_starts(a->failed[1].why, "its input '") && str_ends(a->failed[1].why, "' is not verified"));
	CHECK(b->n_outputs == 1 && b->n_failed == 1);
	CHECK_STR(b->outputs[0].path, top_outputs[5]);
	drop(&c);
}

TEST(other_inputs_give_other_paths)
{
	struct copy c = copy_data();
	_cleanup_free_ char *path = forge(&c, STRUCTURED, "[\"dev\"]", "[\"man\"]");
	_cleanup_free_ char *bad = forge(&c, STRUCTURED, "[\"dev\"]", "[\"doc\"]");
	_cleanup_drv_closure_ struct drv_closure *a = read_one(&c, path);
	_cleanup_drv_closure_ struct drv_closure *b = read_one(&c, bad);

	CHECK(a->n_outputs == 3 && a->n_failed == 1); /* lib's own three */
	CHECK_STR(b->failed[0].why, "its input '" LIB "' has no output 'doc'");
	drop(&c);
}

TEST(claims_over_deferred)
{
	struct copy c = copy_data();
	_cleanup_free_ char *path = forge(&c, DEFERRED, "(\"out\",\"\",\"\",\"\")",
					  "(\"out\",\"" SECRET "\",\"\",\"\")");
	_cleanup_free_ char *mixed = forge(&c, FLOATING, "(\"out\",\"\",", "(\"out\",\"" SECRET "\",");
	_cleanup_drv_closure_ struct drv_closure *a = read_one(&c, path);
	_cleanup_drv_closure_ struct drv_closure *b = read_one(&c, mixed);

	CHECK_STR(a->failed[0].why, "it claims output paths, but has inputs whose paths are not known");
	CHECK(!drv_closure_find(a, SECRET));
	CHECK_STR(b->failed[0].why, "its outputs are of several kinds");
	CHECK(b->n_outputs == 0);
	drop(&c);
}

TEST(changed_bytes)
{
	struct copy c = copy_data();
	_cleanup_str_ struct str text = STR_INIT;

	/* The bytes of another derivation, garbage, nothing, a link, a folder. */
	load(c.fd, ESCAPES, &text);
	for (int i = 0; i < 5; i++) {
		_cleanup_drv_closure_ struct drv_closure *closure = NULL;
		const char *base = storepath_base(FLAT);

		CHECK(unlinkat(c.fd, base, 0) == 0 || errno == ENOENT);
		if (i == 0)
			CHECK(file_replace(c.fd, base, text.p, text.len, 0600, false, NULL) == 0);
		if (i == 1)
			CHECK(file_replace(c.fd, base, text.p, 40, 0600, false, NULL) == 0);
		if (i == 3)
			CHECK(symlinkat(storepath_base(ESCAPES), c.fd, base) == 0);
		if (i == 4)
			CHECK(mkdirat(c.fd, base, 0700) == 0);
		closure = read_one(&c, FLAT);
		CHECK(closure->n_outputs == 0 && closure->n_failed == 1);
		printf("# %s\n", closure->failed[0].why);
	}
	drop(&c);
}

TEST(roots)
{
	static const char *const bad[] = {"/etc/passwd", S "../x.drv", S "xkg1yjbq8im89w4rpbxq5jifj60v0vyf-lib",
					  "xkg1yjbq8im89w4rpbxq5jifj60v0vyf-lib.drv"};
	_cleanup_close_ int fd = data_fd();
	struct drv_closure *c = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(drv_closure_read(fd, &bad[i], 1, &c, NULL) == -EINVAL);
	CHECK(drv_closure_read(fd, NULL, 0, &c, NULL) == 0);
	CHECK(c->n_drvs == 0 && !drv_closure_find(c, SECRET));
	drv_closure_free(c);
}

static int try(const char *text)
{
	_cleanup_drv_ struct drv *d = NULL;

	return drv_parse(text, strlen(text), &d, NULL);
}

#define OUT "(\"out\",\"\",\"\",\"\")"
#define REST ",[],[],\"p\",\"b\",[],[])"

TEST(strictness)
{
	CHECK(try("Derive([" OUT "]" REST) == 0);
	CHECK(try("Derive([]" REST) == -EINVAL);
	CHECK(try("Derive([" OUT "," OUT "]" REST) == -EINVAL);
	CHECK(try("Derive([" OUT ",]" REST) == -EINVAL);
	CHECK(try("Derive([" OUT "]" REST "\n") == -EINVAL);
	CHECK(try("Derive([ " OUT "]" REST) == -EINVAL);
	CHECK(try("Derive([(\"out\",\"x\",\"\",\"\")]" REST) == -EINVAL);
	CHECK(try("Derive([(\"o/t\",\"\",\"\",\"\")]" REST) == -EINVAL);
	CHECK(try("Derive([" OUT "],[],[],\"\\\\p\",\"b\",[],[])") == -EINVAL);
	CHECK(try("Derive([" OUT "],[],[],\"p\",\"b\\q\",[],[])") == -EINVAL);
	CHECK(try("Derive([" OUT "],[],[],\"p\",\"b\n\",[],[])") == -EINVAL);
	CHECK(try("Derive([" OUT "],[],[],\"p\",\"b\\n\",[\"z\",\"a\",\"a\"],[])") == 0);
	CHECK(try("Derive([" OUT "],[],[],\"p\",\"b\",[],[(\"b\",\"\"),(\"a\",\"\")])") == -EINVAL);
	CHECK(try("Derive([" OUT "],[],[],\"p\",\"b\",[],[(\"a\",\"\"),(\"a\",\"\")])") == -EINVAL);
	CHECK(try("Derive([" OUT "],[],[\"/etc/passwd\"],\"p\",\"b\",[],[])") == -EINVAL);
	CHECK(try("Derive([" OUT "],[(\"" SECRET "\",[\"out\"])],[],\"p\",\"b\",[],[])") == -EINVAL);
	CHECK(try("Derive([" OUT "],[(\"" SECRET ".drv\",[\"out\",\"dev\"])],[],\"p\",\"b\",[],[])") == -EINVAL);
	CHECK(try("DrvWithVersion(\"xp-dyn-drv\",[" OUT "]" REST) == -EINVAL);
	CHECK(try("") == -EINVAL);
}

TEST_MAIN()
