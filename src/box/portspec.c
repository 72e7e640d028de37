#include "box/portspec.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static int bad(struct err **e, const char *text, const char *why)
{
	_cleanup_str_ struct str shown = STR_INIT;
	size_t n = strnlen(text, PORTSPEC_BYTES_MAX);

	str_add_printable(&shown, text, n, false);
	(void)err_set(e, EINVAL, "port '%s%s': %s", str_text(&shown), text[n] ? "…" : "", why);
	return err_hint(e, "say HOST:GUEST, GUEST, 0:GUEST for any free port, or ADDRESS:HOST:GUEST");
}

/* Digits alone, no sign, no blank; up to 65535. -1 for anything else. */
static int number(const char *text, size_t n)
{
	int v = 0;

	if (n == 0 || n > 5)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		v = v * 10 + (text[i] - '0');
	}
	return v <= 65535 ? v : -1;
}

/* Reads the address at the begin, if there is one, and goes on to what is behind its colon. */
static const char *take_address(const char *text, struct portspec *p, const char **ret_why)
{
	const char *first = strchr(text, ':');
	const char *end = *text == '[' ? strchr(text, ']') : first;

	p->loopback = true;
	if (*text == '[' && (!end || end[1] != ':')) {
		*ret_why = "an address in brackets is followed by :HOST:GUEST";
		return NULL;
	}
	if (*text == '[')
		end++;
	else if (!first || !strchr(first + 1, ':'))
		return text;
	if (!address_parse(text, (size_t)(end - text), &p->address)) {
		*ret_why = "what stands before HOST:GUEST is no IP address (an IPv6 one stands in brackets)";
		return NULL;
	}
	if (*text != '[' && p->address.family == AF_INET6) {
		*ret_why = "an IPv6 address stands in brackets";
		return NULL;
	}
	p->loopback = false;
	return end + 1;
}

int portspec_parse(const char *text, struct portspec *ret, struct err **e)
{
	struct portspec p = {.loopback = true};
	const char *why = NULL;
	const char *rest;
	const char *colon;
	int host;
	int guest;

	if (strlen(text) > PORTSPEC_BYTES_MAX)
		return bad(e, text, "too long");
	rest = take_address(text, &p, &why);
	if (!rest)
		return bad(e, text, why);
	colon = strchr(rest, ':');
	if (!colon && !p.loopback)
		return bad(e, text, "with an address both ports are given");
	guest = number(colon ? colon + 1 : rest, strlen(colon ? colon + 1 : rest));
	host = colon ? number(rest, (size_t)(colon - rest)) : guest;
	if (host < 0 || guest < 0)
		return bad(e, text, "a port is a number from 1 to 65535");
	if (guest == 0)
		return bad(e, text, "a port in the box is not 0");
	p.host = (uint16_t)host;
	p.guest = (uint16_t)guest;
	p.one = !colon;
	*ret = p;
	return 0;
}

static struct address loopback(int family)
{
	struct address a = {.family = (sa_family_t)family};

	if (family == AF_INET6)
		a.bytes[15] = 1;
	else
		memcpy(a.bytes, (const uint8_t[]){127, 0, 0, 1}, 4);
	return a;
}

/* 0.0.0.0 or :: */
static bool is_wildcard(const struct address *a)
{
	static const uint8_t zero[16];

	return memcmp(a->bytes, zero, a->family == AF_INET6 ? 16 : 4) == 0;
}

static bool addresses_overlap(const struct address *a, const struct address *b)
{
	return a->family == b->family && (is_wildcard(a) || is_wildcard(b) || address_equal(a, b));
}

bool portspec_overlaps(const struct portspec *a, const struct portspec *b)
{
	if (a->host == 0 || a->host != b->host)
		return false;
	for (int i = 0; i < 4; i++) {
		struct address x = a->loopback ? loopback(i & 1 ? AF_INET6 : AF_INET) : a->address;
		struct address y = b->loopback ? loopback(i & 2 ? AF_INET6 : AF_INET) : b->address;

		if (addresses_overlap(&x, &y))
			return true;
	}
	return false;
}

bool portspec_means(const struct portspec *given, const struct portspec *have)
{
	if (!given->loopback && (have->loopback || !address_equal(&given->address, &have->address)))
		return false;
	return given->host == have->host && (given->one || given->guest == have->guest);
}

int portspec_check(const struct strv *specs, struct err **e)
{
	struct portspec all[PORTSPECS_MAX];
	int r;

	if (specs->n > PORTSPECS_MAX)
		return err_set(e, E2BIG, "a box forwards at most %d ports, not %zu", PORTSPECS_MAX, specs->n);
	for (size_t i = 0; i < specs->n; i++) {
		r = portspec_parse(specs->v[i], &all[i], e);
		if (r < 0)
			return r;
		for (size_t k = 0; k < i; k++)
			if (portspec_overlaps(&all[i], &all[k]))
				return err_set(e, EINVAL, "ports '%s' and '%s': the same port of the host twice",
					       specs->v[k], specs->v[i]);
	}
	return 0;
}

void portspec_add_place(const struct portspec *p, struct str *to)
{
	const struct address a = p->loopback ? loopback(AF_INET) : p->address;
	char text[ADDRESS_TEXT_MAX];

	address_format(&a, text);
	str_addf(to, a.family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, p->host);
}
