/* A configuration, and the same bytes as a URL: what is kept can stand in a line of another nix.conf, and hosts are
 * none but those that were there. */
#include "fuzz.h"

#include "nix/nixconf.h"

#include <stdlib.h>
#include <string.h>

static void check_items(const struct strv *items)
{
	if (items->n > NIXCONF_ITEMS_MAX)
		abort();
	for (size_t i = 0; i < items->n; i++)
		for (const char *p = items->v[i]; *p; p++)
			if (*p <= ' ' || *p > '~' || *p == '#')
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nixconf c = {.keys = STRV_INIT};
	char host[NIXCONF_HOST_SIZE];
	char *text = xstrndup((const char *)data, size);
	uint16_t port = 0;

	nixconf_add(&c, text, NULL);
	check_items(&c.substituters);
	check_items(&c.keys);
	nixconf_release(&c);
	if (nixconf_read_flake(text, strlen(text), &c, NULL) == 0) {
		check_items(&c.substituters);
		check_items(&c.keys);
		nixconf_release(&c);
	}
	if (nixconf_cache_host(text, host, &port) &&
	    (port == 0 || !*host || !strstr(text, host) || strpbrk(host, "@/ \n")))
		abort();
	free(text);
	return 0;
}

FUZZ_MAIN()
