#include "kind/vm/newc.h"

#include <string.h>
#include <sys/stat.h>

static void pad(struct newc *a, size_t to)
{
	static const char nul[512];
	size_t over = a->to.len % to;

	if (over)
		str_add(&a->to, nul, to - over);
}

static void entry(struct newc *a, const char *path, mode_t mode, unsigned major, unsigned minor, const void *bytes,
		  size_t n)
{
	size_t name = strlen(path) + 1;

	if (n > UINT32_MAX)
		abort();
	str_addf(&a->to, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ++a->entries, (unsigned)mode, 0,
		 0, S_ISDIR(mode) ? 2 : 1, 0, (unsigned)n, 0, 0, major, minor, (unsigned)name, 0);
	str_add(&a->to, path, name);
	pad(a, 4);
	str_add(&a->to, bytes, n);
	pad(a, 4);
}

void newc_add_file(struct newc *a, const char *path, mode_t mode, const void *bytes, size_t n)
{
	entry(a, path, S_IFREG | mode, 0, 0, bytes, n);
}

void newc_add_folder(struct newc *a, const char *path, mode_t mode)
{
	entry(a, path, S_IFDIR | mode, 0, 0, NULL, 0);
}

void newc_add_char_device(struct newc *a, const char *path, mode_t mode, unsigned major, unsigned minor)
{
	entry(a, path, S_IFCHR | mode, major, minor, NULL, 0);
}

void newc_end(struct newc *a)
{
	a->entries = (uint32_t)-1; /* the trailer's inode is 0 */
	entry(a, "TRAILER!!!", 0, 0, 0, NULL, 0);
	pad(a, 512);
}
