#include "kind/vm/initrd.h"

#include "kind/vm/modinfo.h"
#include "kind/vm/newc.h"

#include <errno.h>

static uint64_t key_of(const struct initrd *i)
{
	uint64_t key = VMCACHE_KEY_INIT;

	vmcache_key_add_text(&key, "initrd 1");
	vmcache_key_add(&key, i->init, i->init_bytes);
	vmcache_key_add(&key, i->config ? "c" : "", i->config ? 1 : 0);
	vmcache_key_add(&key, i->config, i->config ? i->config_bytes : 0);
	modules_add_key(i->modules, &key);
	for (size_t k = 0; k < i->n_want; k++) {
		vmcache_key_add_text(&key, i->want[k].name);
		vmcache_key_add(&key, &i->want[k].required, sizeof(i->want[k].required));
	}
	return key;
}

static int add_modules(const struct initrd *i, struct newc *a, struct err **e)
{
	_cleanup_modules_set_ struct modules_set set = {.n = 0};
	int r = modules_select(i->modules, i->want, i->n_want, &set, e);

	if (r < 0)
		return r;
	newc_add_folder(a, "modules", 0755);
	for (size_t k = 0; k < set.n; k++) {
		_cleanup_free_ char *path = xasprintf("modules/%02zu-%s.ko", k, set.v[k].name);
		_cleanup_str_ struct str bytes = STR_INIT;

		r = modules_read(i->modules, &set.v[k], &bytes, e);
		if (r < 0)
			return r;
		if (i->elf_machine && modinfo_machine(bytes.p, bytes.len) != i->elf_machine)
			return err_set(e, EBADMSG, "the module %s in '%s' is for another architecture", set.v[k].name,
				       modules_path(i->modules));
		if (a->to.len + bytes.len > INITRD_MAX)
			return err_set(e, EFBIG, "the initrd: more than %d MiB of modules", INITRD_MAX >> 20);
		newc_add_file(a, path, 0644, bytes.p, bytes.len);
	}
	return 0;
}

int initrd_get(const struct vmcache *c, const struct initrd *i, char **ret_path, struct err **e)
{
	_cleanup_newc_ struct newc a = NEWC_INIT;
	uint64_t key = key_of(i);
	char *made = vmcache_find(c, "initrd", key);
	_cleanup_close_ int lock = -1;
	int r;

	if (!made && (lock = vmcache_lock(c, e)) < 0)
		return lock;
	if (!made)
		made = vmcache_find(c, "initrd", key);
	if (made) {
		*ret_path = made;
		return 0;
	}
	if (i->init_bytes > INITRD_MAX || i->config_bytes > INITRD_CONFIG_MAX)
		return err_set(e, EFBIG, "the initrd: its program or configuration is too large");
	newc_add_folder(&a, "dev", 0755);
	newc_add_char_device(&a, "dev/console", 0600, 5, 1);
	newc_add_file(&a, "init", 0755, i->init, i->init_bytes);
	if (i->config)
		newc_add_file(&a, "igloo.conf", 0600, i->config, i->config_bytes);
	r = add_modules(i, &a, e);
	if (r < 0)
		return r;
	newc_end(&a);
	return vmcache_put(c, "initrd", key, a.to.p, a.to.len, ret_path, e);
}
