#include "fmt/unpack_impl.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

static const struct {
	const char *name;
	const char *magic;
	size_t n;
	unpack_backend *backend; /* NULL: refused */
} formats[] = {
	[UNPACK_NONE] = {"not packed", "", 0, NULL},
	[UNPACK_GZIP] = {"gzip", "\x1f\x8b", 2, unpack_gzip},
	[UNPACK_XZ] = {"xz",
		       "\xfd"
		       "7zXZ\0",
		       6, unpack_xz},
	[UNPACK_ZSTD] = {"zstd", "\x28\xb5\x2f\xfd", 4, unpack_zstd},
	[UNPACK_BZIP2] = {"bzip2", "BZh", 3, NULL},
	[UNPACK_LZMA] = {"lzma", "\x5d\0\0", 3, NULL},
	[UNPACK_LZO] = {"lzo",
			"\x89"
			"LZO",
			4, NULL},
	[UNPACK_LZ4] = {"lz4", "\x02\x21\x4c\x18", 4, NULL},
};

enum unpack_format unpack_detect(const void *bytes, size_t n)
{
	for (size_t i = UNPACK_NONE + 1; i < ARRAY_SIZE(formats); i++)
		if (n >= formats[i].n && memcmp(bytes, formats[i].magic, formats[i].n) == 0)
			return (enum unpack_format)i;
	return UNPACK_NONE;
}

const char *unpack_name(enum unpack_format format)
{
	return formats[format].name;
}

int unpack_load(const char *soname, const char *package, const struct unpack_symbol *symbols, size_t n, struct err **e)
{
	/* Not unloaded again: it stays for the next call. */
	void *lib = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; lib && i < n; i++) {
		/* memcpy, because ISO C has no conversion from an object pointer to a function pointer. */
		void *p = dlsym(lib, symbols[i].name);

		memcpy(symbols[i].to, &p, sizeof(p));
		if (!p)
			lib = NULL;
	}
	if (!lib) {
		const char *why = dlerror();

		(void)err_set(e, ELIBACC, "cannot load %s: %s", soname, why ? why : "unknown reason");
		(void)err_hint(e, "install the library (Debian: %s)", package);
		return -ELIBACC;
	}
	return 0;
}

int unpack(enum unpack_format format, const void *bytes, size_t n, size_t expected, size_t max, struct str *to,
	   struct err **e)
{
	if (format == UNPACK_NONE) {
		if (n > max)
			return err_set(e, EFBIG, "%zu bytes are more than the %zu allowed", n, max);
		str_add(to, bytes, n);
		return 0;
	}
	if (!formats[format].backend)
		return err_set(e, EOPNOTSUPP, "%s data: igloo unpacks gzip, xz and zstd only", formats[format].name);
	if (n == 0 || max == 0)
		return err_set(e, EBADMSG, "%s data: nothing there", formats[format].name);
	return formats[format].backend(bytes, n, expected, max, to, e);
}
