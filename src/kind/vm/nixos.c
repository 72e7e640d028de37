#include "kind/vm/nixos.h"

#include "base/log.h"
#include "box/secrets.h"
#include "box/slotfile.h"
#include "guest/image.h"
#include "kind/vm/handback.h"
#include "kind/vm/vmlinux.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

void nixos_release(struct nixos *n)
{
	free(n->kernel);
	free(n->initrd);
	free(n->append);
	free(n->state);
	free(n->conf);
	free(n->name_line);
	free(n->built_line);
	free(n->flake_line);
	(void)close_fd(n->lock);
	*n = (struct nixos)NIXOS_INIT;
}

/* --- the state ---------------------------------------------------------------------------------------------------- */

static int check_attributes(int dir, const char *path, struct err **e)
{
	/* The one QEMU keeps a folder's mode in; with the value it would have. */
	static const char name[] = "user.igloo";

	if (fsetxattr(dir, name, "1", 1, 0) == 0) {
		(void)fremovexattr(dir, name);
		return 0;
	}
	(void)err_errno(e, errno, "the state of the machine's system, %s", path);
	(void)err_hint(e, "its file system has to keep extended attributes of users (ext4, xfs, btrfs; tmpfs from "
			  "Linux 6.6)");
	return -EOPNOTSUPP;
}

static int lock_state(const struct slot *slot, int guests, const char *name, struct nixos *n, struct err **e)
{
	_cleanup_free_ char *file = xasprintf("%s.lock", name);

	n->lock = file_lock(guests, file, false, false, e);
	if (n->lock == -EWOULDBLOCK)
		return err_set(e, EBUSY, "another machine of slot '%s' runs the system '%s'", slot->id, name);
	return n->lock < 0 ? n->lock : 0;
}

static int open_state(const struct slot *slot, const char *name, struct nixos *n, struct err **e)
{
	_cleanup_close_ int guests = file_make_dirs(slot->dir, "guests", 0700, e);
	_cleanup_close_ int dir = -1;
	int r;

	if (guests < 0)
		return guests;
	r = lock_state(slot, guests, name, n, e);
	if (r < 0)
		return r;
	dir = file_make_dirs(guests, name, 0700, e);
	if (dir < 0)
		return dir;
	(void)close_fd(take_fd(&dir));
	dir = file_open_beneath(guests, name, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return err_errno(e, -dir, "the state of the machine's system");
	n->state = xasprintf("%s/guests/%s", slot->path, name);
	r = check_attributes(dir, n->state, e);
	return r < 0 ? r : take_fd(&dir);
}

/* --- what is started ---------------------------------------------------------------------------------------------- */

static int copy_initrd(const struct vmcache *cache, int fd, char **ret, struct err **e)
{
	_cleanup_str_ struct str bytes = STR_INIT;
	uint64_t key = VMCACHE_KEY_INIT;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "the system's initrd");
	vmcache_key_add_text(&key, "initrd copy 1");
	vmcache_key_add_state(&key, &st);
	*ret = vmcache_find(cache, "initrd", key);
	if (*ret)
		return 0;
	r = fd_read_all(fd, HANDBACK_INITRD_MAX, &bytes, e);
	if (r < 0)
		return err_wrap(e, "the system's initrd");
	return vmcache_put(cache, "initrd", key, bytes.p, bytes.len, ret, e);
}

static int take_files(const struct vmcache *cache, const struct handback *h, struct nixos *n, struct err **e)
{
	int r = vmlinux_copy(cache, h->kernel, "of the system", &n->kernel, e);

	if (r == 0)
		r = copy_initrd(cache, h->initrd, &n->initrd, e);
	if (r == 0)
		n->append = xasprintf("init=%s/init %s", h->toplevel, h->params);
	return r;
}

static int open_part(const struct slot *slot, const char *toplevel, const char *name, struct err **e)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", toplevel, name);

	return slotfile_open(slot, path, e);
}

/* What the flake builds, as it would be handed back. */
static int open_built(const struct slot *slot, const char *toplevel, struct handback *h, struct err **e)
{
	_cleanup_str_ struct str bytes = STR_INIT;
	_cleanup_str_ struct str words = STR_INIT;
	_cleanup_close_ int params = open_part(slot, toplevel, "kernel-params", e);
	int r = params < 0 ? params : fd_read_all(params, HANDBACK_FILE_MAX, &bytes, e);

	if (r == 0)
		r = handback_params(str_text(&bytes), bytes.len, &words, e);
	if (r == 0) {
		h->kernel = open_part(slot, toplevel, "kernel", e);
		r = h->kernel < 0 ? h->kernel : 0;
	}
	if (r == 0) {
		h->initrd = open_part(slot, toplevel, "initrd", e);
		r = h->initrd < 0 ? h->initrd : 0;
	}
	if (r < 0) {
		(void)err_wrap(e, "'%s' is no NixOS system", toplevel);
		return err_hint(e,
				"it is to have init, kernel, initrd and kernel-params, as system.build.toplevel has");
	}
	h->toplevel = xstrdup(toplevel);
	h->params = str_take(&words);
	return 0;
}

/* What a rebuild in the machine left, if there is that. -ENOENT: there is none, no error set. */
static int open_rebuilt(const struct kind_box *box, int state, struct handback *h, struct err **e)
{
	const struct box_machine *m = &box->spec->machine;
	int r = m->built ? -ENOENT : handback_open(state, h, e);

	if (r < 0)
		return r;
	if (!slotfile_has(box->slot, h->toplevel)) {
		(void)err_set(e, ESTALE,
			      "the system that was rebuilt in the machine, %s, is gone from the slot's store",
			      h->toplevel);
		return err_hint(e, "--built starts what the flake builds");
	}
	if (strcmp(h->toplevel, m->toplevel) == 0)
		return 0;
	if (h->base && strcmp(h->base, m->toplevel) != 0)
		log_note("starting the system as it was rebuilt in the machine, though the flake has changed since: "
			 "--built starts the flake's");
	else
		log_verbose("starting the system that was rebuilt in the machine, %s", h->toplevel);
	return 0;
}

static int choose(const struct kind_box *box, const struct vmcache *cache, int state, struct nixos *n, struct err **e)
{
	_cleanup_handback_ struct handback h = HANDBACK_INIT;
	int r = open_rebuilt(box, state, &h, e);

	if (r == -ENOENT)
		r = open_built(box->slot, box->spec->machine.toplevel, &h, e);
	return r < 0 ? r : take_files(cache, &h, n, e);
}

/* --- what it is told ---------------------------------------------------------------------------------------------- */

void nixos_add_path(struct str *to, const char *key, const char *path)
{
	str_addf(to, "%s=", key);
	for (const char *p = path; *p; p++) {
		if (*p > ' ' && *p < 0x7f && *p != '%')
			str_addc(to, *p);
		else
			str_addf(to, "%%%02X", (unsigned)(unsigned char)*p);
	}
	str_addc(to, '\n');
}

/* The rest of the box is not to be seen at its place in the system, which has its own there. */
static int configure(const struct kind_box *box, const char *network, struct nixos *n, struct err **e)
{
	const struct box_spec *spec = box->spec;
	_cleanup_str_ struct str s = STR_INIT;
	size_t binds = 3;

	str_addf(&s, "hostname=%s\n%s", BOX_HOSTNAME, network);
	nixos_add_path(&s, "bind", BOX_FILES);
	nixos_add_path(&s, "bind", BOX_HOME);
	nixos_add_path(&s, "bind", "/run/secrets");
	for (size_t i = 0; i < spec->nfiles; i++) {
		if (strcmp(spec->files[i].name, BOX_CA_FILE) == 0) {
			nixos_add_path(&s, "bind", "/etc/ssl/certs/ca-certificates.crt");
			binds++;
		}
	}
	for (size_t i = 0; i < spec->nshares; i++, binds++)
		nixos_add_path(&s, "bind", spec->shares[i].target);
	for (size_t i = 0; box->secrets && i < box->secrets->n; i++) {
		const char *path = box->secrets->v[i].path;

		if (path && !str_starts(path, "/run/secrets/")) {
			nixos_add_path(&s, "bind", path);
			binds++;
		}
	}
	if (s.len > VMCONF_BYTES_MAX || binds > VMCONF_BINDS_MAX)
		return err_set(e, E2BIG, "a machine with more than %d shares and secrets, or with such long paths",
			       VMCONF_BINDS_MAX);
	n->conf = str_take(&s);
	return 0;
}

static void list_files(const struct box_machine *m, struct nixos *n)
{
	n->name_line = xasprintf("%s\n", m->system_name);
	n->built_line = xasprintf("%s\n", m->toplevel);
	n->flake_line = xasprintf("%s\n", m->flake);
	n->files[n->n_files++] = (struct enclosure_file){"conf", n->conf, strlen(n->conf), false};
	n->files[n->n_files++] = (struct enclosure_file){"guest", guest_image, guest_image_size, true};
	n->files[n->n_files++] = (struct enclosure_file){"name", n->name_line, strlen(n->name_line), false};
	n->files[n->n_files++] = (struct enclosure_file){"built", n->built_line, strlen(n->built_line), false};
	n->files[n->n_files++] = (struct enclosure_file){"flake", n->flake_line, strlen(n->flake_line), false};
}

int nixos_prepare(const struct kind_box *box, const struct vmcache *cache, const char *network, struct nixos *ret,
		  struct err **e)
{
	const struct box_machine *m = &box->spec->machine;
	struct nixos n = NIXOS_INIT;
	_cleanup_close_ int state = open_state(box->slot, m->system_name, &n, e);
	int r = state < 0 ? state : choose(box, cache, state, &n, e);

	if (r == 0)
		r = configure(box, network, &n, e);
	if (r < 0) {
		nixos_release(&n);
		return r;
	}
	list_files(m, &n);
	*ret = n;
	return 0;
}
