/* The launcher's program, as part of igloo's own file. */
#ifndef IGLOO_LAUNCHER_IMAGE_H
#define IGLOO_LAUNCHER_IMAGE_H

#include <stddef.h>

/* A static ELF executable for the machine that igloo was built for. */
extern const unsigned char launcher_image[];
extern const size_t launcher_image_size;

#endif
