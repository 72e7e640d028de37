/* What the host has to know of an image of erofs: that it is whole. Source: Documentation/filesystems/erofs.rst and
 * fs/erofs/erofs_fs.h of Linux, struct erofs_super_block; all numbers are little-endian. */
#ifndef IGLOO_FMT_EROFS_H
#define IGLOO_FMT_EROFS_H

#include <stddef.h>
#include <stdint.h>

enum { EROFS_HEAD_BYTES = 4096 };

/* `head`: the first EROFS_HEAD_BYTES of a file of `bytes`. 0, or -EBADMSG with *ret_why (a constant) where it is no
 * image of blocks of 4096 bytes, has fewer or more of them than its superblock says, or a superblock whose check sum is
 * missing or another. What is behind the first block is not looked at. */
int erofs_check(const uint8_t head[static EROFS_HEAD_BYTES], uint64_t bytes, const char **ret_why);

/* CRC-32C (Castagnoli, reflected) as the kernel's crc32c(): begun with ~0, not inverted at the end. */
uint32_t erofs_crc32c(uint32_t crc, const void *bytes, size_t n);

#endif
