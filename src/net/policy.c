/* Theory of operation
 *
 * The different ports of a policy, at most 64, are numbered, so that a set of them is one word. Names and networks
 * stand in two sorted arrays with the ports they have. A name is looked up itself and, for entries "*.", by each of its
 * parents; an address once for each prefix length in use. */
#include "net/policyentry.h"

#include <errno.h>

enum { HTTP_PORT = 80, HTTPS_PORT = 443, IPV4_BITS = 32, IPV6_BITS = 128 };

/* What flakes and substituters need, on port 443 alone: none of them needs plain HTTP. Whoever can reach these can also
 * send: github.com takes pushes. So the list is short, and *.cachix.org is not in it, where anyone opens a cache: a
 * project names its own, "NAME.cachix.org". */
static const char *const POLICY_NIX[] = {
	/* Nixpkgs' substituter; the channels and the flake registry (channels.nixos.org/flake-registry.json), which
	 * redirect to the releases; and the mirror of sources by hash that fetchurl asks first (nixpkgs,
	 * pkgs/build-support/fetchurl/mirrors.nix, hashedMirrors). */
	"cache.nixos.org",
	"channels.nixos.org",
	"releases.nixos.org",
	"tarballs.nixos.org",
	/* "github:" inputs: the API resolves a branch, /archive/ redirects to codeload; raw: single files; the other
	 * two: what the downloads of releases and of LFS redirect to, the older and the newer. */
	"github.com",
	"api.github.com",
	"codeload.github.com",
	"raw.githubusercontent.com",
	"objects.githubusercontent.com",
	"release-assets.githubusercontent.com",
	/* "gitlab:" and "sourcehut:" inputs at their default hosts; "git+https:" and tarballs of the two other forges
	 * that flakes are often on. */
	"gitlab.com",
	"git.sr.ht",
	"codeberg.org",
	"bitbucket.org",
	/* Flakes by version, what they redirect to, and their cache. */
	"flakehub.com",
	"api.flakehub.com",
	"cache.flakehub.com",
};

struct ports {
	uint64_t set; /* of those with a number */
	bool every;
};

struct name {
	char *name;
	struct ports own;   /* of the name itself */
	struct ports below; /* of every name below it */
};

struct net {
	struct address net;
	unsigned bits;
	struct ports ports;
};

struct policy {
	uint16_t ports[POLICY_PORTS_MAX];
	size_t n_ports;
	bool every_port;  /* a name has them */
	struct ports all; /* of every name */
	size_t n_entries;
	struct name *names; /* by name */
	size_t n_names;
	size_t cap_names;
	struct net *nets; /* by family, bits and address */
	size_t n_nets;
	size_t cap_nets;
	bool v4_bits[IPV4_BITS + 1]; /* prefix lengths in use */
	bool v6_bits[IPV6_BITS + 1];
};

struct policy *policy_new(void)
{
	return xcalloc(1, sizeof(struct policy));
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_names; i++)
		free(p->names[i].name);
	free(p->names);
	free(p->nets);
	free(p);
}

/* Where `name` is or belongs. */
static size_t name_place(const struct policy *p, const char *name, bool *ret_there)
{
	size_t from = 0;
	size_t to = p->n_names;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		int order = strcmp(name, p->names[mid].name);

		if (order == 0) {
			*ret_there = true;
			return mid;
		}
		if (order < 0)
			to = mid;
		else
			from = mid + 1;
	}
	*ret_there = false;
	return from;
}

static int net_order(const struct address *a, unsigned bits, const struct net *b)
{
	if (a->family != b->net.family)
		return a->family < b->net.family ? -1 : 1;
	if (bits != b->bits)
		return bits < b->bits ? -1 : 1;
	return memcmp(a->bytes, b->net.bytes, a->family == AF_INET ? 4 : 16);
}

static size_t net_place(const struct policy *p, const struct address *net, unsigned bits, bool *ret_there)
{
	size_t from = 0;
	size_t to = p->n_nets;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		int order = net_order(net, bits, &p->nets[mid]);

		if (order == 0) {
			*ret_there = true;
			return mid;
		}
		if (order < 0)
			to = mid;
		else
			from = mid + 1;
	}
	*ret_there = false;
	return from;
}

/* Room for one more of n in an array with room for *cap. */
static void *grown(void *array, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return array;
	*cap = *cap ? *cap * 2 : 16;
	return xrealloc_array(array, *cap, size);
}

/* The set of ports of an entry's name or network; made when it is not there and `make`, else NULL. */
static struct ports *name_ports(struct policy *p, const struct policyentry *entry, bool make)
{
	bool there;
	size_t i = name_place(p, entry->name, &there);

	if (!there && !make)
		return NULL;
	if (!there) {
		p->names = grown(p->names, p->n_names, &p->cap_names, sizeof(*p->names));
		memmove(p->names + i + 1, p->names + i, (p->n_names - i) * sizeof(*p->names));
		p->names[i] = (struct name){.name = xstrdup(entry->name)};
		p->n_names++;
	}
	return entry->kind == POLICYENTRY_BELOW ? &p->names[i].below : &p->names[i].own;
}

static struct ports *net_ports(struct policy *p, const struct policyentry *entry, bool make)
{
	bool there;
	size_t i = net_place(p, &entry->net, entry->bits, &there);

	if (!there && !make)
		return NULL;
	if (!there) {
		p->nets = grown(p->nets, p->n_nets, &p->cap_nets, sizeof(*p->nets));
		memmove(p->nets + i + 1, p->nets + i, (p->n_nets - i) * sizeof(*p->nets));
		p->nets[i] = (struct net){.net = entry->net, .bits = entry->bits};
		p->n_nets++;
		(entry->net.family == AF_INET ? p->v4_bits : p->v6_bits)[entry->bits] = true;
	}
	return &p->nets[i].ports;
}

static struct ports *entry_ports(struct policy *p, const struct policyentry *entry, bool make)
{
	if (entry->kind == POLICYENTRY_ALL)
		return &p->all;
	return entry->kind == POLICYENTRY_NET ? net_ports(p, entry, make) : name_ports(p, entry, make);
}

/* The set with that one port; empty when the policy does not have it. */
static uint64_t port_bit(const struct policy *p, uint16_t port)
{
	for (size_t i = 0; i < p->n_ports; i++)
		if (p->ports[i] == port)
			return UINT64_C(1) << i;
	return 0;
}

/* Numbers the ports of an entry. 0 when there are too many, and p->n_ports may have grown all the same; or none by
 * number. */
static uint64_t take_ports(struct policy *p, const struct policyentry *entry)
{
	const uint16_t web[] = {HTTP_PORT, HTTPS_PORT};
	const uint16_t *ports = entry->port ? &entry->port : web;
	uint64_t set = 0;

	for (size_t i = 0; i < (entry->every_port ? 0 : entry->port ? 1 : ARRAY_SIZE(web)); i++) {
		uint64_t bit = port_bit(p, ports[i]);

		if (!bit) {
			if (p->n_ports == POLICY_PORTS_MAX)
				return 0;
			bit = UINT64_C(1) << p->n_ports;
			p->ports[p->n_ports++] = ports[i];
		}
		set |= bit;
	}
	return set;
}

/* Returns 1 when the policy allows more than before, 0 when not, or an error; then the policy is as it was. */
static int insert(struct policy *p, const struct policyentry *entry, const char *text, struct err **e)
{
	size_t n_ports = p->n_ports;
	uint64_t set = take_ports(p, entry);
	const struct ports *have;

	if (!set && !entry->every_port) {
		p->n_ports = n_ports;
		return policyentry_refuse_size(e, text, "a policy has at most 64 different ports");
	}
	have = entry_ports(p, entry, false);
	if (have && (have->every || (!entry->every_port && (set & ~have->set) == 0))) {
		p->n_ports = n_ports;
		return 0;
	}
	if (p->n_entries == POLICY_ENTRIES_MAX) {
		p->n_ports = n_ports;
		return policyentry_refuse_size(e, text, "a policy has at most 4096 entries");
	}
	entry_ports(p, entry, true)->set |= set;
	entry_ports(p, entry, true)->every |= entry->every_port;
	p->every_port |= entry->every_port;
	return 1;
}

static int insert_nix(struct policy *p, const char *text, struct err **e)
{
	bool more = false;

	for (size_t i = 0; i < ARRAY_SIZE(POLICY_NIX); i++) {
		struct policyentry entry = {.kind = POLICYENTRY_NAME, .port = HTTPS_PORT};
		int r;

		memcpy(entry.name, POLICY_NIX[i], strlen(POLICY_NIX[i]) + 1);
		/* Fails at the first one that is new, or not at all. */
		r = insert(p, &entry, text, e);
		if (r < 0)
			return r;
		more |= r > 0;
	}
	return more;
}

int policy_add(struct policy *p, const char *entry, struct err **e)
{
	struct policyentry parsed;
	int r = policyentry_parse(entry, &parsed, e);

	if (r < 0 || parsed.kind == POLICYENTRY_NONE)
		return r;
	r = parsed.kind == POLICYENTRY_NIX ? insert_nix(p, entry, e) : insert(p, &parsed, entry, e);
	if (r < 0)
		return r;
	p->n_entries += (size_t)r;
	return 0;
}

int policy_add_all(struct policy *p, const struct strv *entries, struct err **e)
{
	for (size_t i = 0; i < entries->n; i++) {
		int r = policy_add(p, entries->v[i], e);

		if (r < 0)
			return r;
	}
	return 0;
}

int policy_normalise_all(const struct strv *entries, struct strv *to, struct err **e)
{
	for (size_t i = 0; i < entries->n; i++) {
		_cleanup_str_ struct str entry = STR_INIT;
		int r = policy_entry_normalise(entries->v[i], &entry, e);

		if (r < 0)
			return r;
		strv_add(to, str_text(&entry));
	}
	return 0;
}

bool policy_is_empty(const struct policy *p)
{
	return p->n_names == 0 && p->n_nets == 0 && !p->all.set;
}

static void add_ports(struct ports *to, const struct ports *more)
{
	to->set |= more->set;
	to->every |= more->every;
}

static struct ports ports_of_name(const struct policy *p, const char *name)
{
	bool there;
	size_t i = name_place(p, name, &there);
	struct ports ports = p->all;

	if (there)
		add_ports(&ports, &p->names[i].own);

	for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
		i = name_place(p, dot + 1, &there);
		if (there)
			add_ports(&ports, &p->names[i].below);
	}
	return ports;
}

bool policy_has_name(const struct policy *p, const char *name)
{
	const struct ports ports = ports_of_name(p, name);

	return ports.set || ports.every;
}

bool policy_allows_name(const struct policy *p, const char *name, uint16_t port)
{
	const struct ports ports = ports_of_name(p, name);

	return ports.every || (ports.set & port_bit(p, port));
}

bool policy_allows_address(const struct policy *p, const struct address *a, uint16_t port)
{
	struct address net = *a;
	uint64_t bit = port_bit(p, port);
	const bool *in_use;

	(void)address_unmap(&net);
	if (!bit || address_width(&net) == 0 || policyentry_never(&net))
		return false;
	in_use = net.family == AF_INET ? p->v4_bits : p->v6_bits;
	for (unsigned bits = address_width(&net);; bits--) {
		address_mask(&net, bits);
		if (in_use[bits]) {
			bool there;
			size_t i = net_place(p, &net, bits, &there);

			if (there && (p->nets[i].ports.set & bit))
				return true;
		}
		if (bits == 0)
			return false;
	}
}

static int port_order(const void *a, const void *b)
{
	return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

size_t policy_ports(const struct policy *p, uint16_t ret[POLICY_PORTS_MAX])
{
	memcpy(ret, p->ports, p->n_ports * sizeof(*ret));
	qsort(ret, p->n_ports, sizeof(*ret), port_order);
	return p->n_ports;
}

bool policy_every_port(const struct policy *p)
{
	return p->every_port;
}

size_t policy_nets(const struct policy *p, struct policy_net *ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_nets; i++) {
		for (size_t k = 0; k < p->n_ports; k++) {
			if (!(p->nets[i].ports.set >> k & 1))
				continue;
			if (ret && n < max)
				ret[n] = (struct policy_net){p->nets[i].net, p->nets[i].bits, p->ports[k]};
			n++;
		}
	}
	return n;
}

int policy_entry_normalise(const char *entry, struct str *ret, struct err **e)
{
	struct policyentry parsed;
	int r = policyentry_parse(entry, &parsed, e);

	if (r == 0)
		policyentry_write(&parsed, ret);
	return r;
}
