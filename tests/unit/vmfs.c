/* Which way a machine has its files. That they work is shown by tests/e2e/vmshare.sh. */
#include "test.h"

#include "kind/vm/vmfs.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char *dir;
	int fd;
	struct vmcache cache;
};

/* A folder that is PATH, with a program that says this. */
static struct place place_make(const char *help)
{
	char name[] = "/var/tmp/igloo-vmfs-XXXXXX";
	struct place p;
	_cleanup_str_ struct str s = STR_INIT;

	if (!mkdtemp(name))
		abort();
	p.dir = realpath(name, NULL);
	if (!p.dir)
		abort();
	p.fd = open(p.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p.cache = (struct vmcache){.dir = p.fd, .path = p.dir};
	str_addf(&s, "#!/bin/sh\nprintf '%%s\\n' '%s'\necho . >>%s/asked\n", help, p.dir);
	if (p.fd < 0 || file_replace(p.fd, "virtiofsd", s.p, s.len, 0755, false, NULL) < 0 ||
	    setenv("PATH", p.dir, 1) < 0)
		abort();
	return p;
}

static void place_release(struct place *p)
{
	_cleanup_close_ int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)file_remove_tree(top, p->dir + 1, NULL);
	(void)close_fd(p->fd);
	free(p->dir);
}
#define _cleanup_place_ ATTR_CLEANUP(place_release)

#define RUST "      --sandbox <SANDBOX>\n          (namespace, chroot, none)\n"
#define IN_C "    -o sandbox=namespace|chroot\n"

static off_t asked(const struct place *p)
{
	struct stat st;

	return fstatat(p->fd, "asked", &st, 0) < 0 ? 0 : st.st_size;
}

TEST(one_that_can)
{
	_cleanup_place_ struct place p = place_make(RUST);
	_cleanup_free_ char *wanted = xasprintf("%s/virtiofsd", p.dir);
	struct vmfs fs = {.virtiofsd = NULL};

	CHECK(vmfs_choose("virtiofs", false, &p.cache, &fs, NULL) == 0);
	CHECK_STR(fs.virtiofsd, wanted);
	vmfs_release(&fs);
	CHECK(vmfs_choose("virtiofs", false, &p.cache, &fs, NULL) == 0 && fs.virtiofsd);
	vmfs_release(&fs);
	/* Asked once. */
	CHECK(asked(&p) == 2);
	CHECK(vmfs_choose("9p", true, &p.cache, &fs, NULL) == 0 && !fs.virtiofsd);
	CHECK(vmfs_choose("auto", false, &p.cache, &fs, NULL) == 0 && !fs.virtiofsd);
	CHECK(vmfs_choose(NULL, false, &p.cache, &fs, NULL) == 0 && !fs.virtiofsd);
}

TEST(many_files)
{
	_cleanup_place_ struct place p = place_make(RUST);
	struct rlimit files;
	struct vmfs fs = {.virtiofsd = NULL};

	CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
	CHECK(vmfs_choose("auto", true, &p.cache, &fs, NULL) == 0);
	CHECK(!fs.virtiofsd == (files.rlim_max < 65536));
	vmfs_release(&fs);
	files.rlim_max = files.rlim_max < 4096 ? files.rlim_max : 4096;
	files.rlim_cur = files.rlim_cur < files.rlim_max ? files.rlim_cur : files.rlim_max;
	CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
	CHECK(vmfs_choose("auto", true, &p.cache, &fs, NULL) == 0 && !fs.virtiofsd);
	CHECK(vmfs_choose("virtiofs", true, &p.cache, &fs, NULL) == 0 && fs.virtiofsd);
	vmfs_release(&fs);
}

TEST(one_that_cannot)
{
	_cleanup_place_ struct place p = place_make(IN_C);
	_cleanup_err_ struct err *e = NULL;
	struct vmfs fs = {.virtiofsd = NULL};

	CHECK(vmfs_choose("virtiofs", true, &p.cache, &fs, &e) == -ENOTSUP && !fs.virtiofsd);
	CHECK(strstr(err_message(e), p.dir) && strstr(err_message(e), "--sandbox=none") && *err_hints(e));
	CHECK(vmfs_choose("auto", true, &p.cache, &fs, NULL) == 0 && !fs.virtiofsd);
	CHECK(asked(&p) == 2);
}

TEST(what_the_kernel_needs)
{
	struct modules_want want[8] = {{"virtio_pci", true}, {"9pnet_virtio", true}, {"9p", true}, {"overlay", true}};
	char program[] = "x";
	const struct vmfs by_virtiofs = {.virtiofsd = program};
	const struct vmfs by_9p = {.virtiofsd = NULL};
	_cleanup_str_ struct str root = STR_INIT;

	CHECK(vmfs_change_wants(&by_9p, want, 4) == 4);
	CHECK(vmfs_change_wants(&by_virtiofs, want, 4) == 3);
	CHECK_STR(want[0].name, "virtio_pci");
	CHECK_STR(want[1].name, "overlay");
	CHECK_STR(want[2].name, "virtiofs");
	vmfs_add_root(&by_9p, "box", &root);
	vmfs_add_root(&by_virtiofs, "box", &root);
	CHECK_STR(str_text(&root), "root=9p box cache=mmap\nroot=virtiofs box -\n");
}

/* One that tells of mount points is told not to; an older one has no word for that, and does not. */
TEST(submounts)
{
	static const char *const helps[] = {RUST, RUST "      --no-announce-submounts\n"};

	for (size_t i = 0; i < ARRAY_SIZE(helps); i++) {
		_cleanup_place_ struct place p = place_make(helps[i]);
		_cleanup_strv_ struct strv argv = STRV_INIT;
		struct vmfs fs = {.virtiofsd = NULL};

		for (int turn = 0; turn < 2; turn++) {
			CHECK(vmfs_choose("virtiofs", false, &p.cache, &fs, NULL) == 0 && fs.submounts == (i == 1));
			vmfs_release(&fs);
		}
		CHECK(asked(&p) == 2);
		vmfs_add_argv(&fs, "/vm/virtiofsd", "/box", &argv);
		CHECK(strv_has(&argv, "--no-announce-submounts") == (i == 1) &&
		      !strv_has(&argv, "--announce-submounts"));
		CHECK((size_t)strtol(argv.v[1], NULL, 10) == argv.n - 2);
	}
}

TEST(its_arguments)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	const struct vmfs fs = {.virtiofsd = NULL};

	vmfs_add_argv(&fs, "/vm/virtiofsd", "/box", &argv);
	CHECK_STR(argv.v[0], "--virtiofsd");
	CHECK((size_t)strtol(argv.v[1], NULL, 10) == argv.n - 2);
	CHECK_STR(argv.v[2], "/vm/virtiofsd");
	CHECK(strv_has(&argv, "--fd=3") && strv_has(&argv, "--shared-dir=/box") && strv_has(&argv, "--sandbox=none"));
}

TEST_MAIN()
