/* The guest's program, as part of igloo's own file. */
#ifndef IGLOO_GUEST_IMAGE_H
#define IGLOO_GUEST_IMAGE_H

#include <stddef.h>

/* A static ELF executable for the machine that igloo was built for. */
extern const unsigned char guest_image[];
extern const size_t guest_image_size;

#endif
