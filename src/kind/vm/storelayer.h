/* --store-image: the store paths of a box's environment as an image of erofs, which the machine has as a disk, in place
 * of the same paths by 9p or virtiofs. guest/vmstore.h is the machine's part. */
#ifndef IGLOO_KIND_VM_STORELAYER_H
#define IGLOO_KIND_VM_STORELAYER_H

#include "base/err.h"
#include "box/slot.h"
#include "box/spec.h"

#define STORELAYER_SERIAL "igloo-store"

/* The image for the box's spec->closure, from igloo's cache, made where it is not there (box/storeimage.h). Returns a
 * descriptor for reading, locked; *ret_path (NULL: the machine starts now), the caller's to free, says where
 * it is. -ENOENT without mkfs.erofs. */
int storelayer_open(const struct slot *slot, const struct box_spec *spec, char **ret_path, struct err **e);

#endif
