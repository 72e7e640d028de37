#include "kind/vm/layer.h"

#include "box/secrets.h"
#include "box/slotdisk.h"

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

int layer_open(const struct kind_box *box, struct layer *ret, struct err **e)
{
	int r;

	*ret = (struct layer){.image = -1};
	if (!layer_wanted(box->spec) && (box->spec->machine.disk || box->spec->machine.overlay))
		return err_set(e, EINVAL, "--disk and --overlay are for igloo's own guest, not for one with a system");
	if (!has_disk(box->spec))
		return 0;
	r = slotdisk_claim(box->slot, e);
	if (r == 0)
		r = ret->image = slotdisk_open(box->slot, box->spec->machine.disk, box->spec->name, e);
	return r < 0 ? r : 0;
}

void layer_close(struct layer *l)
{
	l->image = close_fd(l->image);
}

void layer_settle(const struct kind_box *box)
{
	if (has_disk(box->spec))
		slotdisk_settle(box->slot);
}

size_t layer_modules(const struct box_spec *spec, struct modules_want *want)
{
	/* ext4 asks the kernel for crc32c by name, which no list of dependencies tells. */
	static const struct modules_want disk[] = {{"virtio_blk", true}, {"crc32c_generic", false}, {"ext4", true}};

	if (!has_disk(spec))
		return 0;
	memcpy(want, disk, sizeof(disk));
	return ARRAY_SIZE(disk);
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

size_t layer_disk(const struct layer *l, int fd, struct machine_disk *ret)
{
	*ret = (struct machine_disk){.serial = SERIAL, .fd = fd};
	return l->image < 0 ? 0 : 1;
}
