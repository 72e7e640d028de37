#include "fuzz.h"

#include "net/dns.h"
#include "net/synth.h"

#include <string.h>

static uint32_t address(void *arg, const char *name)
{
	char again[HOSTNAME_MAX + 1];

	if (hostname_normalise(name, strlen(name), again, NULL) < 0 || strcmp(name, again) != 0)
		abort();
	return strstr(name, "example") ? synth_address(arg, name) : 0;
}

static const char *name_of(void *arg, uint32_t v)
{
	return synth_name(arg, v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct synth *s = synth_new(0xc6120000);
	struct dns_lookup lookup = {address, name_of, s};
	uint8_t answer[DNS_ANSWER_MAX], again[DNS_ANSWER_MAX];
	size_t n;

	(void)synth_address(s, "example.org");
	n = dns_answer(data, size, &lookup, answer);
	/* What every client takes; no more than twice the question, but for short ones; no answer to an answer. */
	if (n > 512 || (n > 0 && n < 12) || n > 2 * size + 64 || (n > 0 && memcmp(answer, data, 2) != 0))
		abort();
	if (n > 0 && dns_answer(answer, n, &lookup, again) != 0)
		abort();
	synth_free(s);
	return 0;
}

FUZZ_MAIN()
