/* Functions that are wrong often enough to be compile errors. Included by every file through the
 * compiler's command line (meson.build). */
#ifndef IGLOO_BASE_BANNED_H
#define IGLOO_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok system popen tmpnam mktemp
#pragma GCC poison atoi atol atoll rand sleep usleep

#endif
