/* A kernel's image: its header, or its ELF headers and notes; of aarch64 the Image, or what it is packed in. */
#include "fuzz.h"

#include "kind/vm/kimagearm.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *version = kimage_version(data, size);
	_cleanup_free_ char *arm = kimagearm_version(data, size);
	_cleanup_err_ struct err *e = NULL;
	struct kimage_payload p;
	bool pvh;

	if (version && (strchr(version, '/') || strstr(version, "..") || strlen(version) >= KIMAGE_VERSION_MAX))
		abort();
	if (arm && (strchr(arm, '/') || !kimagearm_is_image(data, size)))
		abort();
	if (kimagearm_is_packed(data, size) && kimagearm_parse(data, size, &p, &e) == 0 &&
	    (p.at > size || p.n > size - p.at))
		abort();
	err_clear(&e);
	if (kimage_parse(data, size, &p, &e) == 0 && (p.at > size || p.n > size - p.at))
		abort();
	err_clear(&e);
	if (kimage_check_vmlinux(data, size, &pvh, &e) == 0) {
		_cleanup_free_ uint8_t *copy = xmalloc(size);
		size_t n;

		memcpy(copy, data, size);
		n = kimage_trim(copy);
		if (n > size || kimage_check_vmlinux(copy, n, &pvh, &e) < 0)
			abort();
	}
	return 0;
}

FUZZ_MAIN()
