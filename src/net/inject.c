#include "net/inject.h"

#include "fmt/base64.h"

#include <string.h>
#include <strings.h>

/* RFC 9110, 11.6.2, and what services have beside it. Proxy-Authorization is not here: it is for a proxy, not for the
 * host. Nor is Cookie: servers show what is in it. */
static const char *const headers[] = {
	"Authorization", "X-Api-Key",     "Api-Key",       "X-Goog-Api-Key", "Apikey",
	"X-Auth-Token",  "Private-Token", "X-Vault-Token", "Job-Token",      "X-Auth-Key",
};

bool inject_value_is_good(const char *value, size_t n)
{
	if (n == 0 || n > INJECT_VALUE_MAX || value[0] == ' ' || value[n - 1] == ' ')
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
			return false;
	return true;
}

bool inject_is_credential(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
		if (strlen(headers[i]) == n && strncasecmp(headers[i], name, n) == 0)
			return true;
	return false;
}

/* The first placeholder in the n bytes, and where. */
static const struct inject_pair *find(const struct inject *in, const char *p, size_t n, const char **ret_at)
{
	const struct inject_pair *found = NULL;

	for (size_t i = 0; i < in->n; i++) {
		const char *at = memmem(p, n, in->v[i].placeholder, strlen(in->v[i].placeholder));

		if (at && (!found || at < *ret_at)) {
			found = &in->v[i];
			*ret_at = at;
		}
	}
	return found;
}

static bool replace(const struct inject *in, const char *p, size_t n, struct str *to)
{
	const char *end = p + n;
	const char *at = NULL;
	const struct inject_pair *pair = find(in, p, n, &at);

	if (!pair)
		return false;
	while (pair) {
		str_add(to, p, (size_t)(at - p));
		str_add(to, pair->value, pair->n);
		p = at + strlen(pair->placeholder);
		pair = find(in, p, (size_t)(end - p), &at);
	}
	str_add(to, p, (size_t)(end - p));
	return true;
}

static bool replace_basic(const struct inject *in, const char *p, size_t n, struct str *to)
{
	static const char scheme[] = "Basic ";
	_cleanup_inject_ struct str plain = STR_INIT;
	_cleanup_inject_ struct str with = STR_INIT;
	size_t at = sizeof(scheme) - 1;

	if (n < at || strncasecmp(p, scheme, at) != 0)
		return false;
	while (at < n && p[at] == ' ')
		at++;
	if (!base64_decode(p + at, n - at, &plain) || !replace(in, str_text(&plain), plain.len, &with))
		return false;
	str_add(to, p, at);
	base64_encode(with.p, with.len, to);
	return true;
}

bool inject_value(const struct inject *in, const char *value, size_t n, struct str *to)
{
	return replace_basic(in, value, n, to) || replace(in, value, n, to);
}

void inject_wipe(struct str *s)
{
	if (s->p)
		explicit_bzero(s->p, s->cap);
	str_release(s);
}
