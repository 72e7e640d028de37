/* A policy of one entry a line. A normal form is its own normal form; the entry in it allows the same and nothing new;
 * what a policy was not given stays refused, and a refused entry changes nothing. */
#include "net/policy.h"
#include "fuzz.h"

/* Something that an entry in normal form allows must be allowed. */
static void check_allowed(const struct policy *p, const char *entry)
{
	const char *below = str_starts(entry, "*.") ? entry + 2 : NULL;
	const char *colon = strrchr(entry, ':');
	_cleanup_str_ struct str name = STR_INIT;
	struct address a;
	bool every;
	uint16_t port;

	if (entry[0] == '[' || strchr(entry, '/') || strcmp(entry, "nix") == 0 || strcmp(entry, "none") == 0)
		return;
	if (below && strlen(below) < HOSTNAME_MAX - 2)
		str_adds(&name, "a.");
	str_adds(&name, below ? below : entry);
	if (colon)
		name.p[name.len - strlen(colon)] = '\0';
	if (below && name.p[1] != '.')
		return;
	every = colon && colon[1] == '*';
	port = (uint16_t)(colon && !every ? strtoul(colon + 1, NULL, 10) : 443);
	if (policy_every_port(p) < every || (every && !policy_allows_name(p, name.p, 1)))
		abort();
	if (address_parse(name.p, strlen(name.p), &a)) {
		if (!policy_allows_address(p, &a, port))
			abort();
	} else if (!policy_has_name(p, name.p) || !policy_allows_name(p, name.p, port)) {
		abort();
	}
}

static void check_entry(struct policy *p, const char *text)
{
	_cleanup_str_ struct str normal = STR_INIT;
	_cleanup_str_ struct str again = STR_INIT;
	_cleanup_err_ struct err *e = NULL;
	uint16_t ports[POLICY_PORTS_MAX];
	size_t n_ports = policy_ports(p, ports);
	size_t n_nets = policy_nets(p, NULL, 0);

	if (policy_add(p, text, &e) < 0) {
		if (!e || !*err_message(e) || policy_ports(p, ports) != n_ports || policy_nets(p, NULL, 0) != n_nets)
			abort();
		return;
	}
	if (policy_entry_normalise(text, &normal, NULL) < 0 ||
	    policy_entry_normalise(str_text(&normal), &again, NULL) < 0 ||
	    strcmp(str_text(&normal), str_text(&again)) != 0)
		abort();
	n_ports = policy_ports(p, ports);
	n_nets = policy_nets(p, NULL, 0);
	if (policy_add(p, str_text(&normal), NULL) < 0 || policy_ports(p, ports) != n_ports ||
	    policy_nets(p, NULL, 0) != n_nets)
		abort();
	check_allowed(p, str_text(&normal));
}

static void check_nets(const struct policy *p)
{
	size_t n = policy_nets(p, NULL, 0);
	_cleanup_free_ struct policy_net *nets = xcalloc(n + 1, sizeof(*nets));

	if (policy_nets(p, nets, n) != n)
		abort();
	for (size_t i = 0; i < n; i++) {
		enum address_class class = address_class(&nets[i].net);
		bool never = class == ADDRESS_THIS_HOST || class == ADDRESS_MULTICAST;

		if (policy_allows_address(p, &nets[i].net, nets[i].port) == never)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_policy_ struct policy *p = policy_new();
	_cleanup_free_ char *text = xstrndup((const char *)data, size);
	_cleanup_strv_ struct strv lines = STRV_INIT;

	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.n; i++)
		check_entry(p, lines.v[i]);
	check_nets(p);
	return 0;
}

FUZZ_MAIN()
