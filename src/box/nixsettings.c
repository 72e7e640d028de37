#include "box/nixsettings.h"

#include "base/log.h"
#include "box/boxstore.h"
#include "net/policy.h"
#include "nix/nixconf.h"

#include <string.h>

static bool may_reach(const struct policy *policy, const char *url)
{
	char host[NIXCONF_HOST_SIZE];
	char name[HOSTNAME_MAX + 1];
	struct address a;
	uint16_t port;

	if (!nixconf_cache_host(url, host, &port))
		return false;
	if (address_parse(host, strlen(host), &a))
		return policy_allows_address(policy, &a, port);
	return hostname_normalise(host, strlen(host), name, NULL) == 0 && policy_allows_name(policy, name, port);
}

void nixsettings_grant(struct strv *allow)
{
	_cleanup_nixconf_ struct nixconf conf = {.keys = STRV_INIT};
	_cleanup_policy_ struct policy *policy = policy_new();

	nixconf_read(&conf);
	for (size_t i = 0; i < conf.substituters.n; i++) {
		const char *url = conf.substituters.v[i];
		char host[NIXCONF_HOST_SIZE];
		uint16_t port;
		_cleanup_free_ char *entry = NULL;
		_cleanup_err_ struct err *e = NULL;

		if (!nixconf_cache_host(url, host, &port)) {
			log_verbose("a binary cache of your nix.conf cannot be used in a box: it is not http or https, "
				    "or has a password in its URL");
			continue;
		}
		entry = xasprintf("%s:%u", host, port);
		if (policy_add(policy, entry, &e) < 0)
			log_verbose("a binary cache of your nix.conf cannot be used in a box: %s", err_message(e));
		else
			strv_add(allow, entry);
	}
}

static void add_line(struct str *to, const char *name, const struct strv *values)
{
	str_addf(to, "%s =", name);
	for (size_t i = 0; i < values->n; i++)
		str_addf(to, " %s", values->v[i]);
	str_addc(to, '\n');
}

void nixsettings_configure(struct box_spec *spec)
{
	_cleanup_nixconf_ struct nixconf conf = {.keys = STRV_INIT};
	_cleanup_policy_ struct policy *policy = policy_new();
	_cleanup_strv_ struct strv caches = STRV_INIT;
	_cleanup_str_ struct str text = STR_INIT;
	char host[NIXCONF_HOST_SIZE];
	uint16_t port;
	size_t own;

	boxstore_add_url(spec, &caches);
	own = caches.n;
	nixconf_read(&conf);
	if (policy_add_all(policy, &spec->allow, NULL) == 0)
		for (size_t i = 0; i < conf.substituters.n; i++)
			if (may_reach(policy, conf.substituters.v[i]))
				strv_add(&caches, conf.substituters.v[i]);
	if (caches.n == own) {
		for (size_t i = 0; i < conf.substituters.n; i++)
			if (nixconf_cache_host(conf.substituters.v[i], host, &port))
				strv_add(&caches, conf.substituters.v[i]);
		str_adds(&text, "download-attempts = 1\n");
	}
	add_line(&text, "substituters", &caches);
	add_line(&text, "trusted-public-keys", &conf.keys);
	box_spec_add_file(spec, "nix.conf", str_text(&text));
}
