/* Names of hosts and addresses, from the same text. A name in normal form is its own normal form, looks like nothing
 * else, and is no address to libc; an address reads back as the same. */
#include "net/hostname.h"
#include "base/str.h"
#include "fuzz.h"
#include "net/address.h"

#include <arpa/inet.h>

static void check_name(const char *name)
{
	char again[HOSTNAME_MAX + 1];
	struct in_addr in;
	size_t n = strlen(name);

	if (n == 0 || n > HOSTNAME_MAX || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != n)
		abort();
	if (name[0] == '.' || name[n - 1] == '.' || strstr(name, "..") || inet_aton(name, &in))
		abort();
	if (hostname_normalise(name, n, again, NULL) < 0 || strcmp(name, again) != 0)
		abort();
}

static void check_address(const struct address *a)
{
	char text[ADDRESS_TEXT_MAX];
	struct sockaddr_storage s;
	struct address again;

	address_format(a, text);
	if (!address_parse(text, strlen(text), &again) || !address_equal(a, &again))
		abort();
	if (address_to_sockaddr(a, 1, &s) == 0)
		abort();
	address_from_sockaddr(&s, &again);
	if (!address_equal(a, &again) || !*address_class_name(address_class(a)))
		abort();
	(void)address_unmap(&again);
	if (address_class(a) != address_class(&again))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[HOSTNAME_MAX + 1];
	struct err *e = NULL;
	struct address a;

	if (hostname_normalise((const char *)data, size, name, &e) == 0)
		check_name(name);
	else if (!e || !*err_message(e))
		abort();
	err_clear(&e);
	if (address_parse((const char *)data, size, &a))
		check_address(&a);
	return 0;
}

FUZZ_MAIN()
