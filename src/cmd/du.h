/* How much a folder takes on its disk. */
#ifndef IGLOO_CMD_DU_H
#define IGLOO_CMD_DU_H

#include <stdint.h>

/* Bytes of disk that the file or folder `path` beneath dirfd and everything below it take, on the file system it starts
 * on, through no link. A file of several names counts in equal parts for each, so the sum is right when all of them are
 * below. What cannot be read counts nothing; 0 when there is nothing. */
uint64_t du(int dirfd, const char *path);

#endif
