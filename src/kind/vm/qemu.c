#include "kind/vm/qemu.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/spawn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HAS "qemu-sandbox"
#define HAS_NOT "qemu-plain"

enum { TIME_LIMIT_MS = 20000 };

int qemu_find(const struct arch *arch, char **ret, struct err **e)
{
	_cleanup_free_ char *found = spawn_find(arch->qemu, NULL, NULL);

	*ret = found ? realpath(found, NULL) : NULL;
	if (*ret)
		return 0;
	(void)err_set(e, ENOENT, "QEMU is not installed: there is no %s in PATH", arch->qemu);
	return err_hint(e, "%s", arch->qemu_hint);
}

/* A build without it says so, and ends with 1, before it gets to -version (qemu_init() in softmmu/vl.c). */
static int ask(const char *qemu, int *ret_status, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct spawn s = {.file = qemu, .max_output = 65536, .time_limit_ms = TIME_LIMIT_MS};

	strv_add(&argv, qemu);
	strv_add(&argv, "-sandbox");
	strv_add(&argv, "on");
	strv_add(&argv, "-version");
	s.argv = argv.v;
	return spawn_run(&s, NULL, NULL, ret_status, e);
}

static int keep(const struct vmcache *cache, const char *what, uint64_t key, struct err **e)
{
	char *path = NULL;
	int r = vmcache_put(cache, what, key, "\n", 1, &path, e);

	free(path);
	return r;
}

int qemu_has_sandbox(const char *qemu, const struct vmcache *cache, bool *ret, struct err **e)
{
	_cleanup_free_ char *has = NULL;
	_cleanup_free_ char *has_not = NULL;
	uint64_t key = VMCACHE_KEY_INIT;
	struct stat st;
	int status = 0;
	int r;

	if (stat(qemu, &st) < 0)
		return err_errno(e, errno, "%s", qemu);
	vmcache_key_add_text(&key, qemu);
	vmcache_key_add_state(&key, &st);
	has = vmcache_find(cache, HAS, key);
	has_not = has ? NULL : vmcache_find(cache, HAS_NOT, key);
	*ret = has;
	if (has || has_not)
		return 0;
	r = ask(qemu, &status, e);
	if (r < 0)
		return r;
	*ret = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	/* One that does not run at all is asked again: what it lacks may be no part of it. */
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
		return 0;
	return keep(cache, *ret ? HAS : HAS_NOT, key, e);
}
