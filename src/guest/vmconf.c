#include "guest/vmconf.h"

#include "guest/vm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* Exactly n words. */
static int words(char *text, const char **ret, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *end = strchrnul(text, ' ');

		if (end == text || !*end != (i + 1 == n))
			return -EINVAL;
		ret[i] = text;
		text = end + 1;
		*end = '\0';
	}
	return 0;
}

static int parse_mount(char *text, struct vmconf_mount *ret)
{
	const char *w[4];

	if (words(text, w, 4) < 0 || *w[2] != '/')
		return -EINVAL;
	*ret = (struct vmconf_mount){.type = w[0], .source = w[1], .target = w[2], .options = w[3]};
	return 0;
}

static int parse_root(char *text, struct vmconf_mount *ret)
{
	const char *w[3];
	int r = words(text, w, 3);

	if (r == 0)
		*ret = (struct vmconf_mount){.type = w[0], .source = w[1], .options = w[2]};
	return r;
}

static int parse_layer(char *text, struct vmconf_mount *ret)
{
	const char *w[2];
	int r = words(text, w, 2);

	if (r == 0 && strcmp(w[0], "ext4") != 0 && strcmp(w[0], "tmpfs") != 0)
		r = -EINVAL;
	if (r == 0)
		*ret = (struct vmconf_mount){.type = w[0], .source = w[1], .options = w[1]};
	return r;
}

static int parse_number(const char *text, int64_t max, int64_t *ret)
{
	int64_t n = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || n > max / 10)
			return -EINVAL;
		n = n * 10 + (*text - '0');
	}
	*ret = n;
	return n > max ? -EINVAL : 0;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* An absolute path, decoded where it lies. */
static int parse_bind(char *text, struct vmconf *c)
{
	char *to = text;

	if (*text != '/' || c->n_binds == VMCONF_BINDS_MAX)
		return -EINVAL;
	c->binds[c->n_binds++] = text;
	for (const char *from = text; *from; from++) {
		int high = *from == '%' ? hex_digit(from[1]) : 0;
		int low = *from == '%' && high >= 0 ? hex_digit(from[2]) : 0;

		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		if (high < 0 || low < 0 || high + low == 0)
			return -EINVAL;
		*to++ = (char)(high * 16 + low);
		from += 2;
	}
	*to = '\0';
	return 0;
}

static int parse_address(const char *text, struct in_addr *ret)
{
	return inet_pton(AF_INET, text, ret) == 1 ? 0 : -EINVAL;
}

static int parse_prefix(char *text, struct in_addr *ret, unsigned *ret_bits)
{
	char *slash = strchr(text, '/');
	int64_t bits = 0;

	if (!slash || parse_number(slash + 1, 32, &bits) < 0)
		return -EINVAL;
	*slash = '\0';
	*ret_bits = (unsigned)bits;
	return parse_address(text, ret);
}

static int parse_route(char *text, struct vmconf *c)
{
	struct vmconf_route *route = &c->routes[c->n_routes];

	return c->n_routes++ < VMCONF_ROUTES_MAX ? parse_prefix(text, &route->to, &route->bits) : -EINVAL;
}

static int parse_line(char *line, struct vmconf *c)
{
	char *value = strchr(line, '=');
	struct in_addr ignored;

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	if (strcmp(line, "root") == 0)
		return parse_root(value, &c->root);
	if (strcmp(line, "mount") == 0)
		return c->n_mounts < VMCONF_MOUNTS_MAX ? parse_mount(value, &c->mounts[c->n_mounts++]) : -EINVAL;
	if (strcmp(line, "bind") == 0)
		return parse_bind(value, c);
	if (strcmp(line, "layer") == 0)
		return parse_layer(value, &c->layer);
	if (strcmp(line, "keep") == 0 && *value == '/' && c->n_keeps < VMCONF_KEEPS_MAX) {
		c->keeps[c->n_keeps++] = value;
		return 0;
	}
	if (strcmp(line, "address") == 0)
		return parse_prefix(value, &c->address, &c->bits);
	if (strcmp(line, "gateway") == 0)
		return parse_address(value, &c->gateway);
	if (strcmp(line, "route") == 0)
		return parse_route(value, c);
	if (strcmp(line, "clock") == 0)
		return parse_number(value, INT64_MAX / 16, &c->clock);
	if (strcmp(line, "pids") == 0)
		return parse_number(value, INT32_MAX, &c->pids);
	if (strcmp(line, "time") == 0)
		return parse_number(value, INT64_MAX, &c->time);
	if (strcmp(line, "device") == 0 && c->n_devices < VMCONF_DEVICES_MAX && *value != '/' && !strstr(value, ".."))
		c->devices[c->n_devices++] = value;
	else if (strcmp(line, "hostname") == 0)
		c->hostname = value;
	else if (strcmp(line, "nix") == 0 && *value == '/')
		c->nix = value;
	else if (strcmp(line, "seed") == 0)
		c->seed = value;
	else if (strcmp(line, "agent") == 0 && *value == '/')
		c->agent = value;
	else if (strcmp(line, "port") == 0)
		c->port = value;
	else if (strcmp(line, "store") == 0)
		c->store = value;
	else if (strcmp(line, "dns") == 0 && parse_address(value, &ignored) == 0)
		c->dns = value;
	else
		return -EINVAL;
	return *value ? 0 : -EINVAL;
}

int vmconf_parse(char *text, struct vmconf *ret, const char **ret_line)
{
	static struct vmconf c;

	c = (struct vmconf){.port = VM_PORT_NAME};
	while (*text) {
		char *line = text;
		char *end = strchrnul(text, '\n');

		text = *end ? end + 1 : end;
		*end = '\0';
		if (*line && parse_line(line, &c) < 0) {
			*ret_line = line;
			return -EINVAL;
		}
	}
	*ret = c;
	return 0;
}
