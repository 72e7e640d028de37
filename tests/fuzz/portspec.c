/* box/portspec.h: a flake's requests reach it. What is accepted reads back as the same from its own words, and overlaps
 * with itself unless the kernel chooses its port. */
#include "box/portspec.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xstrndup((const char *)data, size);
	_cleanup_str_ struct str again = STR_INIT;
	struct err *e = NULL;
	struct portspec a;
	struct portspec b;

	if (portspec_parse(text, &a, &e) < 0) {
		if (!e || strchr(err_message(e), '\n'))
			abort();
		err_clear(&e);
		return 0;
	}
	if (a.guest == 0 || portspec_overlaps(&a, &a) != (a.host != 0) || !portspec_means(&a, &a))
		abort();
	portspec_add_place(&a, &again);
	str_addf(&again, ":%u", a.guest);
	if (portspec_parse(str_text(&again), &b, NULL) < 0 || b.host != a.host || b.guest != a.guest || b.loopback)
		abort();
	if (!a.loopback && !address_equal(&a.address, &b.address))
		abort();
	return 0;
}

FUZZ_MAIN()
