#include "fmt/erofs.h"

#include <errno.h>
#include <string.h>

enum {
	SUPER_AT = 1024,
	MAGIC_AT = SUPER_AT,
	CHECKSUM_AT = SUPER_AT + 4,
	COMPAT_AT = SUPER_AT + 8,
	BLOCK_BITS_AT = SUPER_AT + 12,
	BLOCKS_AT = SUPER_AT + 36,
	COMPAT_CHECKSUM = 1,
	BLOCK_BITS = 12,
};

#define MAGIC UINT32_C(0xe0f5e1e2)
#define POLYNOMIAL UINT32_C(0x82f63b78)

static uint32_t get32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t erofs_crc32c(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
	}
	return crc;
}

/* Over the rest of the first block, its own place taken as 0. */
static uint32_t checksum(const uint8_t *head)
{
	static const uint8_t zeros[4];
	uint32_t crc = erofs_crc32c(UINT32_MAX, head + SUPER_AT, CHECKSUM_AT - SUPER_AT);

	crc = erofs_crc32c(crc, zeros, sizeof(zeros));
	return erofs_crc32c(crc, head + CHECKSUM_AT + 4, EROFS_HEAD_BYTES - CHECKSUM_AT - 4);
}

int erofs_check(const uint8_t head[static EROFS_HEAD_BYTES], uint64_t bytes, const char **ret_why)
{
	const char *why = NULL;

	if (bytes < EROFS_HEAD_BYTES || get32(head + MAGIC_AT) != MAGIC)
		why = "it has no superblock of erofs";
	else if (head[BLOCK_BITS_AT] != BLOCK_BITS)
		why = "its blocks are not of 4096 bytes";
	else if ((uint64_t)get32(head + BLOCKS_AT) << BLOCK_BITS != bytes)
		why = "it is not as long as its superblock says";
	else if (!(get32(head + COMPAT_AT) & COMPAT_CHECKSUM))
		why = "its superblock has no check sum";
	else if (checksum(head) != get32(head + CHECKSUM_AT))
		why = "the check sum of its superblock is another";
	if (!why)
		return 0;
	*ret_why = why;
	return -EBADMSG;
}
