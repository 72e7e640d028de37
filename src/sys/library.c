#include "sys/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

int library_failed(const struct library *l, const char *why, struct err **e)
{
	(void)err_set(e, ELIBACC, "%s: cannot load %s: %s", l->what, l->names[0], why ? why : "unknown reason");
	(void)err_hint(e, "%s", l->hint);
	return -ELIBACC;
}

int library_load(const struct library *l, const struct library_function *functions, size_t n, struct err **e)
{
	void *lib = NULL;

	for (size_t i = 0; l->names[i] && !lib; i++)
		lib = dlopen(l->names[i], RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return library_failed(l, dlerror(), e);
	for (size_t i = 0; i < n; i++) {
		if (!dlsym(lib, functions[i].name)) {
			int r = library_failed(l, dlerror(), e);

			(void)dlclose(lib);
			return r;
		}
	}
	for (size_t i = 0; i < n; i++) {
		void *p = dlsym(lib, functions[i].name);

		/* memcpy, because ISO C has no conversion from an object pointer to a function pointer. */
		memcpy(functions[i].to, &p, sizeof(p));
	}
	return 0;
}
