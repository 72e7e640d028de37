#include "box/secretbind.h"

#include "base/str.h"
#include "box/secret.h"
#include "net/hostname.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static int refuse(const char *name, const char *host, const char *why, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	str_add_printable(&shown, host, strnlen(host, HOSTNAME_MAX + 8), false);
	(void)err_set(e, EINVAL, "secret '%s' cannot be bound to '%s': %s", name, str_text(&shown), why);
	return err_hint(e, "a host's name, with a port if it is not 443: %s@api.example.org", name);
}

static int parse_port(const char *text, unsigned long *ret)
{
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n > 5 || text[n] != '\0')
		return -EINVAL;
	*ret = strtoul(text, NULL, 10);
	return *ret >= 1 && *ret <= 65535 ? 0 : -EINVAL;
}

int secretbind_parse(const char *text, char **ret_name, char **ret_host, struct err **e)
{
	const char *at = strchr(text, '@');
	_cleanup_free_ char *name = at ? xstrndup(text, (size_t)(at - text)) : xstrdup(text);
	_cleanup_err_ struct err *why = NULL;
	char host[HOSTNAME_MAX + 1];
	unsigned long port = SECRETBIND_PORT;
	const char *colon;
	int r = secret_name_check(name, e);

	if (r < 0)
		return r;
	if (at) {
		colon = strchr(at, ':');
		if (colon && parse_port(colon + 1, &port) < 0)
			return refuse(name, at + 1, "what follows the colon is no port", e);
		if (port == 80)
			return refuse(name, at + 1, "port 80 is not encrypted", e);
		if (hostname_normalise(at + 1, colon ? (size_t)(colon - at - 1) : strlen(at + 1), host, &why) < 0)
			return refuse(name, at + 1, err_message(why), e);
	}
	*ret_name = take_ptr(name);
	*ret_host = at ? xasprintf("%s:%lu", host, port) : NULL;
	return 0;
}

uint16_t secretbind_split(const char *host, size_t *ret_n)
{
	const char *colon = strrchr(host, ':');

	*ret_n = (size_t)(colon - host);
	return (uint16_t)strtoul(colon + 1, NULL, 10);
}

char *secretbind_text(const char *name, const char *host)
{
	size_t n;

	if (!host)
		return xstrdup(name);
	return secretbind_split(host, &n) == SECRETBIND_PORT ? xasprintf("%s@%.*s", name, (int)n, host)
							     : xasprintf("%s@%s", name, host);
}

int secretbind_placeholder(const char *name, char **ret, struct err **e)
{
	uint64_t bits[2];

	if (getrandom(bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
		return err_errno(e, errno, "cannot get random bytes");
	*ret = xasprintf("igloo_%s_%016llx%016llx", name, (unsigned long long)bits[0], (unsigned long long)bits[1]);
	return 0;
}
