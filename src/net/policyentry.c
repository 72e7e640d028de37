#include "net/policyentry.h"

#include <errno.h>
#include <strings.h>

static const struct {
	const char *word;
	enum policyentry_kind kind;
} words[] = {{"nix", POLICYENTRY_NIX}, {"all", POLICYENTRY_ALL}, {"none", POLICYENTRY_NONE}};

static int refuse(struct err **e, const char *entry, size_t at, const char *fmt, ...) ATTR_PRINTF(4, 5);
static int refuse(struct err **e, const char *entry, size_t at, const char *fmt, ...)
{
	_cleanup_str_ struct str shown = STR_INIT;
	char why[128];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	str_add_printable(&shown, entry, strlen(entry), false);
	return err_set(e, EINVAL, "'%s', position %zu: %s", str_text(&shown), at + 1, why);
}

int policyentry_refuse_size(struct err **e, const char *entry, const char *why)
{
	_cleanup_str_ struct str shown = STR_INIT;
	size_t n = strnlen(entry, POLICY_ENTRY_BYTES_MAX + 1);

	str_add_printable(&shown, entry, n < 64 ? n : 64, false);
	return err_set(e, E2BIG, "'%s'%s: %s", str_text(&shown), n > 64 ? "..." : "", why);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The port behind the colon at `colon`, up to the end. */
static int parse_port(const char *entry, size_t colon, uint16_t *ret, struct err **e)
{
	const char *digits = entry + colon + 1;
	size_t n = strlen(digits);
	unsigned v = 0;

	if (n == 0)
		return refuse(e, entry, colon + 1, "the port is missing behind ':'");
	if (strcmp(digits, "*") == 0)
		return refuse(e, entry, colon + 1, "only a name is allowed with every port, an address with one");
	for (size_t i = 0; i < n; i++) {
		if (!is_digit(digits[i]))
			return refuse(e, entry, colon + 1 + i, "a port is a number from 1 to 65535");
		if (v <= UINT16_MAX)
			v = v * 10 + (unsigned)(digits[i] - '0');
	}
	if (v == 0 || v > UINT16_MAX)
		return refuse(e, entry, colon + 1, "a port is a number from 1 to 65535");
	if (digits[0] == '0')
		return refuse(e, entry, colon + 1, "a port does not begin with 0");
	*ret = (uint16_t)v;
	return 0;
}

static void write_net(const struct address *net, unsigned bits, struct str *s)
{
	char text[ADDRESS_TEXT_MAX];

	address_format(net, text);
	str_addf(s, net->family == AF_INET6 ? "[%s]" : "%s", text);
	if (bits < address_width(net))
		str_addf(s, "/%u", bits);
}

/* The bits of a network: the text from `from` up to `to`. */
static int parse_bits(const char *entry, size_t from, size_t to, unsigned max, unsigned *ret, struct err **e)
{
	unsigned v = 0;
	bool good = to > from && to - from <= 3 && (entry[from] != '0' || to - from == 1);

	for (size_t i = from; good && i < to; i++) {
		good = is_digit(entry[i]);
		v = v * 10 + (unsigned)(entry[i] - '0');
	}
	if (!good || v > max)
		return refuse(e, entry, from, "a network of IPv%s has 0 to %u bits", max == 32 ? "4" : "6", max);
	*ret = v;
	return 0;
}

bool policyentry_never(const struct address *a)
{
	enum address_class class = address_class(a);

	return class == ADDRESS_THIS_HOST || class == ADDRESS_MULTICAST;
}

/* Whether all of a network is such: the first and the last address of a class's block are in one block. */
static bool never_net(const struct policyentry *net)
{
	struct address last = net->net;

	for (unsigned i = net->bits; i < address_width(&last); i++)
		last.bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
	return policyentry_never(&net->net) && policyentry_never(&last) &&
	       address_class(&net->net) == address_class(&last);
}

/* Puts entry->net and its bits into normal form. The address is at `at` in the text, the bits at `at_bits`. */
static int check_net(const char *text, size_t at, size_t at_bits, struct policyentry *entry, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;
	struct address net = entry->net;

	address_mask(&net, entry->bits);
	if (!address_equal(&net, &entry->net)) {
		write_net(&net, entry->bits, &shown);
		return refuse(e, text, at_bits, "the address has bits behind the network's %u; the network is %s",
			      entry->bits, str_text(&shown));
	}
	if (address_unmap(&entry->net))
		entry->bits -= ADDRESS_MAPPED_BITS;
	if (never_net(entry))
		return refuse(e, text, at, "there is nothing to connect to: a %s address",
			      address_class_name(address_class(&net)));
	return 0;
}

/* What is behind an address that ends at `at`: "/BITS", perhaps, and ":PORT". */
static int parse_net(const char *text, size_t from, size_t at, struct policyentry *entry, struct err **e)
{
	unsigned max = address_width(&entry->net);
	size_t at_bits = at;
	int r;

	entry->kind = POLICYENTRY_NET;
	entry->bits = max;
	if (text[at] == '/') {
		at_bits = at + 1;
		at = at_bits + strcspn(text + at_bits, ":");
		r = parse_bits(text, at_bits, at, max, &entry->bits, e);
		if (r < 0)
			return r;
	}
	r = check_net(text, from, at_bits, entry, e);
	if (r < 0)
		return r;
	if (text[at] == '\0')
		return refuse(e, text, at, "an address needs a port: %s:443", text);
	if (text[at] != ':')
		return refuse(e, text, at, "behind an address stands ':' and a port");
	return parse_port(text, at, &entry->port, e);
}

static int parse_bracketed(const char *text, struct policyentry *entry, struct err **e)
{
	size_t end = strcspn(text, "]");

	if (text[end] == '\0')
		return refuse(e, text, end, "the ']' is missing");
	if (memchr(text, '/', end))
		return refuse(e, text, strcspn(text, "/"), "the bits of a network stand behind the ']'");
	if (!address_parse(text, end + 1, &entry->net))
		return refuse(e, text, 1, "not an IPv6 address");
	return parse_net(text, 0, end + 1, entry, e);
}

static int parse_name(const char *text, size_t n, struct policyentry *entry, struct err **e)
{
	size_t from = 0;
	int r;

	if (n == 1 && text[0] == '*')
		return refuse(e, text, 0, "'*' is no name: 'all' is every name, '*.example.org' every name below one");
	if (n >= 2 && text[0] == '*' && text[1] == '.') {
		entry->kind = POLICYENTRY_BELOW;
		from = 2;
	}
	r = hostname_normalise_part(text, strlen(text), from, n - from, entry->name, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (from == 0 && strcmp(entry->name, words[i].word) == 0)
			return refuse(e, text, strlen(words[i].word), "nothing stands behind the word '%s'",
				      words[i].word);
	entry->every_port = strcmp(text + n, ":*") == 0;
	return text[n] == ':' && !entry->every_port ? parse_port(text, n, &entry->port, e) : 0;
}

static int refuse_path(struct err **e, const char *text, size_t at, const char *why)
{
	(void)refuse(e, text, at, "%s", why);
	(void)err_hint(e, "write the host alone, with its port if that is not 80 or 443");
	return -EINVAL;
}

static int parse_plain(const char *text, struct policyentry *entry, struct err **e)
{
	size_t host = strcspn(text, ":");
	size_t address = strcspn(text, "/");

	if (strstr(text, "://"))
		return refuse_path(e, text, host, "a URL is no entry");
	if (text[host] == ':' && strchr(text + host + 1, ':')) {
		if (address_parse(text, address, &entry->net))
			return refuse(e, text, 0, "an IPv6 address stands in brackets: [%.*s]:443", (int)address, text);
		return refuse(e, text, host + 1 + strcspn(text + host + 1, ":"), "a second ':'");
	}
	if (address >= host)
		address = host;
	if (address_parse(text, address, &entry->net))
		return parse_net(text, 0, address, entry, e);
	if (address == host)
		return parse_name(text, host, entry, e);
	return refuse_path(e, text, address, "'/' stands only behind a whole address");
}

int policyentry_parse(const char *text, struct policyentry *ret, struct err **e)
{
	struct policyentry entry = {.kind = POLICYENTRY_NAME};
	size_t n = strnlen(text, POLICY_ENTRY_BYTES_MAX + 1);
	int r;

	if (n > POLICY_ENTRY_BYTES_MAX)
		return policyentry_refuse_size(e, text, "an entry of more than 300 bytes");
	if (n == 0)
		return refuse(e, text, 0, "an empty entry");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i].word) == 0) {
			entry.kind = words[i].kind;
			*ret = entry;
			return 0;
		}
	}
	r = text[0] == '[' ? parse_bracketed(text, &entry, e) : parse_plain(text, &entry, e);
	if (r < 0)
		return r;
	*ret = entry;
	return 0;
}

void policyentry_write(const struct policyentry *entry, struct str *s)
{
	if (entry->kind == POLICYENTRY_NET)
		write_net(&entry->net, entry->bits, s);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (entry->kind == words[i].kind)
			str_adds(s, words[i].word);
	if (entry->kind == POLICYENTRY_BELOW)
		str_adds(s, "*.");
	str_adds(s, entry->name);
	if (entry->port)
		str_addf(s, ":%u", (unsigned)entry->port);
	if (entry->every_port)
		str_adds(s, ":*");
}
