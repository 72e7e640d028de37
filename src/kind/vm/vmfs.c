#include "kind/vm/vmfs.h"

#include "base/log.h"
#include "base/mem.h"
#include "guest/image.h"
#include "sys/spawn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SUBMOUNTS "--no-announce-submounts"

/* What is known of one: names in the cache. */
enum virtiofsd { BAD, PLAIN, TELLING, VIRTIOFSDS };
static const char *const names[VIRTIOFSDS] = {"virtiofsd-bad", "virtiofsd-plain", "virtiofsd-telling"};

enum {
	TIME_LIMIT_MS = 10000,
	OUTPUT_MAX = 65536,
	FILES_MIN = 65536, /* it has one open for every file that the machine's kernel knows */
};

/* It says what --sandbox can be, and what options there are. */
static int ask(const char *program, enum virtiofsd *ret, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_str_ struct str out = STR_INIT;
	struct spawn s = {.file = program, .max_output = OUTPUT_MAX, .time_limit_ms = TIME_LIMIT_MS};
	const char *option;
	int status = 0;
	int r;

	strv_add(&argv, program);
	strv_add(&argv, "--help");
	s.argv = argv.v;
	r = spawn_run(&s, &out, NULL, &status, e);
	if (r < 0)
		return r;
	option = strstr(str_text(&out), "--sandbox <");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !option || !strstr(option, "none"))
		*ret = BAD;
	else
		*ret = strstr(str_text(&out), SUBMOUNTS) ? TELLING : PLAIN;
	return 0;
}

static int keep(const struct vmcache *cache, const char *what, uint64_t key, struct err **e)
{
	char *path = NULL;
	int r = vmcache_put(cache, what, key, "\n", 1, &path, e);

	free(path);
	return r;
}

static int look_up(const char *program, const struct vmcache *cache, enum virtiofsd *ret, struct err **e)
{
	uint64_t key = VMCACHE_KEY_INIT;
	struct stat st;
	int r;

	if (stat(program, &st) < 0)
		return err_errno(e, errno, "%s", program);
	vmcache_key_add_text(&key, program);
	vmcache_key_add_state(&key, &st);
	for (int i = 0; cache && i < VIRTIOFSDS; i++) {
		_cleanup_free_ char *known = vmcache_find(cache, names[i], key);

		*ret = (enum virtiofsd)i;
		if (known)
			return 0;
	}
	r = ask(program, ret, e);
	return r < 0 || !cache ? r : keep(cache, names[*ret], key, e);
}

int vmfs_find(const struct vmcache *cache, struct vmfs *ret, struct err **e)
{
	static const char *const places[] = {"/usr/libexec", "/usr/lib/virtiofsd", "/usr/lib/qemu", NULL};
	_cleanup_free_ char *found = spawn_find("virtiofsd", places, NULL);
	_cleanup_free_ char *path = found ? realpath(found, NULL) : NULL;
	enum virtiofsd what = BAD;
	int r;

	if (!path) {
		(void)err_set(e, ENOENT,
			      "there is no virtiofsd in PATH, /usr/libexec, /usr/lib/virtiofsd, /usr/lib/qemu");
		return err_hint(e, VMFS_HINT);
	}
	r = look_up(path, cache, &what, e);
	if (r < 0)
		return r;
	if (what == BAD) {
		(void)err_set(e, ENOTSUP,
			      "%s cannot run without privileges (--sandbox=none); the one written in Rust can", path);
		return err_hint(e, VMFS_HINT);
	}
	*ret = (struct vmfs){.virtiofsd = take_ptr(path), .submounts = what == TELLING};
	return 0;
}

int vmfs_check_files(struct err **e)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_max >= FILES_MIN)
		return 0;
	return err_set(e, ENOTSUP,
		       "virtiofsd has a file open for each that the machine knows: %llu are allowed (ulimit -Hn), "
		       "%d are enough",
		       (unsigned long long)files.rlim_max, FILES_MIN);
}

/* Where it was the user's wish, the error is his; else the reason is in `why`, and 9p is taken. */
static int settle(struct vmfs *fs, const char *wish, int r, struct err **why, struct err **e)
{
	if (r == 0)
		return 0;
	free(fs->virtiofsd);
	fs->virtiofsd = NULL;
	if (wish && strcmp(wish, "virtiofs") == 0) {
		if (e)
			*e = take_ptr(*why);
		return err_wrap(e, "--fs virtiofs");
	}
	log_verbose("the machine has its files by 9p: %s", err_message(*why));
	return 0;
}

int vmfs_choose(const char *wish, bool kvm, const struct vmcache *cache, struct vmfs *ret, struct err **e)
{
	bool wished = wish && strcmp(wish, "virtiofs") == 0;
	_cleanup_err_ struct err *why = NULL;
	int r;

	if (wish && strcmp(wish, "9p") == 0)
		return 0;
	/* What another process answers takes longer than what QEMU does itself, as long as an answer is all one waits
	 * for: docs/vm.md has the figures. */
	if (!wished && !kvm)
		return settle(ret, wish, err_set(&why, ENOTSUP, "it is emulated"), &why, e);
	r = vmfs_find(cache, ret, &why);
	if (r == 0 && !wished)
		r = vmfs_check_files(&why);
	return settle(ret, wish, r, &why, e);
}

int vmfs_check_kernel(struct vmfs *fs, const char *wish, const struct modules *modules, struct err **e)
{
	static const struct modules_want want = {"virtiofs", true};
	_cleanup_err_ struct err *why = NULL;

	return fs->virtiofsd ? settle(fs, wish, modules_check(modules, &want, 1, &why), &why, e) : 0;
}

void vmfs_release(struct vmfs *fs)
{
	free(fs->virtiofsd);
	fs->virtiofsd = NULL;
}

size_t vmfs_change_wants(const struct vmfs *fs, struct modules_want *want, size_t n)
{
	size_t kept = 0;

	if (!fs->virtiofsd)
		return n;
	for (size_t i = 0; i < n; i++)
		if (strcmp(want[i].name, "9p") != 0 && strcmp(want[i].name, "9pnet_virtio") != 0)
			want[kept++] = want[i];
	want[kept++] = (struct modules_want){"virtiofs", true};
	return kept;
}

void vmfs_add_root(const struct vmfs *fs, const char *tag, struct str *to)
{
	str_addf(to, fs->virtiofsd ? "root=virtiofs %s -\n" : "root=9p %s cache=mmap\n", tag);
}

void vmfs_add_argv(const struct vmfs *fs, const char *program, const char *folder, struct strv *to)
{
	/* The box's own seccomp filter knows no handles of files, and no threads with a working folder of their own. */
	static const char *const words[] = {"--sandbox=none",   "--seccomp=kill",       "--inode-file-handles=never",
					    "--cache=auto",     "--thread-pool-size=0", "--rlimit-nofile=0",
					    "--log-level=error"};

	strv_add(to, "--virtiofsd");
	strv_addf(to, "%zu", ARRAY_SIZE(words) + 3 + fs->submounts);
	strv_add(to, program);
	strv_addf(to, "--fd=%d", VMHOST_LISTEN_FD);
	strv_addf(to, "--shared-dir=%s", folder);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		strv_add(to, words[i]);
	/* Each store path is a mount of the view. The machine would mount them, too, when they are looked at; an
	 * overlay, which it has over the store, refuses such folders (ovl_dentry_weird() of fs/overlayfs/util.c). */
	if (fs->submounts)
		strv_add(to, SUBMOUNTS);
}
