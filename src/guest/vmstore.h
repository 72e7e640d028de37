/* A machine's store paths that come as an image (--store-image): layers of the overlay on /nix/store, above the box's
 * view and below what is written. */
#ifndef IGLOO_GUEST_VMSTORE_H
#define IGLOO_GUEST_VMSTORE_H

#define VMSTORE_IMAGE "/image"
#define VMSTORE_MASK "/mask"
/* For the overlay's lowerdir, in front of the view. */
#define VMSTORE_LOWER VMSTORE_IMAGE ":" VMSTORE_MASK

/* Mounts both. 0 or -errno with *ret_what. */
int vmstore_mount(const char *serial, const char **ret_what);

#endif
