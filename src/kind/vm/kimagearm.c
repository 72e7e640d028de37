#include "kind/vm/kimagearm.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { MAGIC = 56, ZBOOT_MAGIC = 4, ZBOOT_AT = 8, ZBOOT_SIZE = 12 };

static size_t le32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (size_t)p[3] << 24;
}

static bool is_zboot(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	return n >= KIMAGEARM_HEAD && memcmp(p, "MZ", 2) == 0 && memcmp(p + ZBOOT_MAGIC, "zimg", 4) == 0;
}

bool kimagearm_is_image(const void *bytes, size_t n)
{
	return n >= KIMAGEARM_HEAD && memcmp((const uint8_t *)bytes + MAGIC, "ARMd", 4) == 0;
}

bool kimagearm_is_packed(const void *bytes, size_t n)
{
	return is_zboot(bytes, n) || unpack_detect(bytes, n) == UNPACK_GZIP;
}

int kimagearm_parse(const void *bytes, size_t n, struct kimage_payload *ret, struct err **e)
{
	const uint8_t *p = bytes;
	size_t at;
	size_t size;

	*ret = (struct kimage_payload){.at = 0, .n = n, .format = UNPACK_GZIP};
	if (!is_zboot(bytes, n))
		return 0;
	at = le32(p + ZBOOT_AT);
	size = le32(p + ZBOOT_SIZE);
	if (at > n || size > n - at)
		return err_set(e, EBADMSG, "the image is cut short: %zu bytes at %zu of %zu", size, at, n);
	*ret = (struct kimage_payload){.at = at, .n = size, .format = unpack_detect(p + at, size)};
	return 0;
}

char *kimagearm_version(const void *bytes, size_t n)
{
	return kimagearm_is_image(bytes, n) ? kimage_banner(bytes, n) : NULL;
}
