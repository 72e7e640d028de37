#include "kind/vm/layer.h"

#include "box/secrets.h"
#include "box/slotdisk.h"
#include "kind/vm/storelayer.h"
#include "sys/fd.h"

#include <errno.h>
#include <string.h>

#define SERIAL "igloo-slot"

enum { KEEPS_MAX = 64 }; /* VMCONF_KEEPS_MAX of guest/vmconf.h */

bool layer_wanted(const struct box_spec *spec)
{
	return !spec->machine.toplevel;
}

static bool has_disk(const struct box_spec *spec)
{
	return layer_wanted(spec) && !spec->machine.overlay;
}

/* There since layer_furnish(), but for one that was removed from the cache meanwhile. */
static int open_store(const struct kind_box *box, struct layer *l, struct err **e)
{
	if (box->spec->machine.store_image)
		l->store = storelayer_open(box->slot, box->spec, NULL, e);
	return box->spec->machine.store_image && l->store < 0 ? l->store : 0;
}

static int refuse_system(const struct box_spec *spec, struct err **e)
{
	const struct box_machine *m = &spec->machine;

	if (layer_wanted(spec) || (!m->disk && !m->overlay && !m->store_image))
		return 0;
	return err_set(e, EINVAL,
		       "--disk, --overlay and --store-image are for igloo's own guest, not for one with a system");
}

int layer_furnish(const struct slot *slot, struct box_spec *spec, struct err **e)
{
	int fd;
	int r = refuse_system(spec, e);

	if (r < 0 || !spec->machine.store_image)
		return r;
	fd = storelayer_open(slot, spec, &spec->machine.store_path, e);
	if (fd < 0)
		return fd;
	(void)close_fd(fd);
	return 0;
}

int layer_open(const struct kind_box *box, struct layer *ret, struct err **e)
{
	const struct box_machine *m = &box->spec->machine;
	int r = refuse_system(box->spec, e);

	*ret = (struct layer)LAYER_INIT;
	if (r == 0 && has_disk(box->spec)) {
		r = slotdisk_claim(box->slot, e);
		if (r == 0)
			r = ret->image = slotdisk_open(box->slot, m->disk, box->spec->name, e);
	}
	return r < 0 ? r : open_store(box, ret, e);
}

void layer_close(struct layer *l)
{
	l->image = close_fd(l->image);
	l->store = close_fd(l->store);
}

void layer_settle(const struct kind_box *box)
{
	if (has_disk(box->spec))
		slotdisk_settle(box->slot);
}

size_t layer_modules(const struct box_spec *spec, struct modules_want *want)
{
	/* Both ask the kernel for crc32c by name, which no list of dependencies tells. */
	static const struct modules_want disks[] = {{"virtio_blk", true}, {"crc32c_generic", false}};
	size_t n = 0;

	if (!has_disk(spec) && !spec->machine.store_image)
		return 0;
	for (; n < ARRAY_SIZE(disks); n++)
		want[n] = disks[n];
	if (has_disk(spec))
		want[n++] = (struct modules_want){"ext4", true};
	if (spec->machine.store_image)
		want[n++] = (struct modules_want){"erofs", true};
	return n;
}

/* What is mounted below HOME and /var/tmp on this side is to be seen there. */
static int keep(const char *path, size_t *n, struct str *to, struct err **e)
{
	if (!str_starts(path, BOX_HOME "/") && !str_starts(path, "/var/tmp/"))
		return 0;
	if (strchr(path, '\n') || ++*n > KEEPS_MAX)
		return err_set(e, EINVAL, "'%s' cannot be shared with a machine", path);
	str_addf(to, "keep=%s\n", path);
	return 0;
}

int layer_configure(const struct kind_box *box, struct str *to, struct err **e)
{
	const struct box_spec *spec = box->spec;
	size_t n = 0;
	int r = 0;

	str_adds(to, spec->machine.overlay ? "layer=tmpfs mode=0755,size=75%\n" : "layer=ext4 " SERIAL "\n");
	if (spec->machine.store_image)
		str_adds(to, "store=" STORELAYER_SERIAL "\n");
	/* Nix's own programs stand in one folder. */
	if (spec->machine.nix)
		str_addf(to, "nix=%.*s\n", (int)(strrchr(spec->machine.nix, '/') - spec->machine.nix),
			 spec->machine.nix);
	for (size_t i = 0; i < spec->nshares && r == 0; i++)
		r = keep(spec->shares[i].target, &n, to, e);
	for (size_t i = 0; box->secrets && i < box->secrets->n && r == 0; i++)
		if (box->secrets->v[i].path)
			r = keep(box->secrets->v[i].path, &n, to, e);
	return r;
}

size_t layer_fds(const struct layer *l, int ret[static LAYER_DISKS_MAX])
{
	size_t n = 0;

	if (l->image >= 0)
		ret[n++] = l->image;
	if (l->store >= 0)
		ret[n++] = l->store;
	return n;
}

size_t layer_disks(const struct layer *l, int fd, struct machine_disk ret[static LAYER_DISKS_MAX])
{
	size_t n = 0;

	if (l->image >= 0)
		ret[n++] = (struct machine_disk){.serial = SERIAL, .fd = fd++};
	if (l->store >= 0)
		ret[n++] = (struct machine_disk){.serial = STORELAYER_SERIAL, .fd = fd, .read_only = true};
	return n;
}
