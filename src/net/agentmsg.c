#include "net/agentmsg.h"

#include <errno.h>
#include <string.h>

/* Numbers of messages, section 6.1 of the draft. */
enum {
	FAILURE = 5,
	SUCCESS = 6,
	REQUEST_IDENTITIES = 11,
	IDENTITIES_ANSWER = 12,
	SIGN_REQUEST = 13,
	SIGN_RESPONSE = 14,
	EXTENSION = 27,
};

enum { LENGTH_BYTES = 4, TYPE_MAX = 64 };

static const char session_bind[] = "session-bind@openssh.com";
static const char cert_suffix[] = "-cert-v01@openssh.com";

/* How many strings of a certificate behind its nonce are the public key. */
static const struct {
	const char *type;
	size_t strings;
} key_types[] = {
	{"ssh-rsa", 2},
	{"ssh-dss", 4},
	{"ssh-ed25519", 1},
	{"ecdsa-sha2-nistp256", 2},
	{"ecdsa-sha2-nistp384", 2},
	{"ecdsa-sha2-nistp521", 2},
	{"sk-ssh-ed25519@openssh.com", 2},
	{"sk-ecdsa-sha2-nistp256@openssh.com", 3},
};

/* --- reading and writing ------------------------------------------------------------------------------------------ */

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t p[4], size_t n)
{
	p[0] = (uint8_t)(n >> 24);
	p[1] = (uint8_t)(n >> 16);
	p[2] = (uint8_t)(n >> 8);
	p[3] = (uint8_t)n;
}

static void add32(struct str *to, size_t n)
{
	uint8_t bytes[4];

	put32(bytes, n);
	str_add(to, bytes, sizeof(bytes));
}

static void add_string(struct str *to, const struct agentmsg_bytes *s)
{
	add32(to, s->n);
	str_add(to, s->p, s->n);
}

static bool take_u32(struct agentmsg_bytes *from, uint32_t *ret)
{
	if (from->n < 4)
		return false;
	*ret = get32(from->p);
	from->p += 4;
	from->n -= 4;
	return true;
}

static bool take_string(struct agentmsg_bytes *from, struct agentmsg_bytes *ret)
{
	uint32_t n;

	if (!take_u32(from, &n) || n > from->n)
		return false;
	*ret = (struct agentmsg_bytes){from->p, n};
	from->p += n;
	from->n -= n;
	return true;
}

static bool equals(const struct agentmsg_bytes *a, const char *p, size_t n)
{
	return a->n == n && (n == 0 || memcmp(a->p, p, n) == 0);
}

ssize_t agentmsg_length(const uint8_t *p, size_t n)
{
	uint32_t length;

	if (n < LENGTH_BYTES)
		return 0;
	length = get32(p);
	return length == 0 || length > AGENTMSG_MAX ? -EMSGSIZE : (ssize_t)length + LENGTH_BYTES;
}

void agentmsg_add_failure(struct str *to)
{
	static const uint8_t message[] = {0, 0, 0, 1, FAILURE};

	str_add(to, message, sizeof(message));
}

void agentmsg_add_list_request(struct str *to)
{
	static const uint8_t message[] = {0, 0, 0, 1, REQUEST_IDENTITIES};

	str_add(to, message, sizeof(message));
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

/* The type of the key in a certificate: "ssh-rsa" of "ssh-rsa-cert-v01@openssh.com", and
 * "sk-ssh-ed25519@openssh.com" of "sk-ssh-ed25519-cert-v01@openssh.com". Its index, -1 when it is not known. */
static ptrdiff_t type_in_certificate(const struct agentmsg_bytes *type)
{
	static const size_t suffix = sizeof(cert_suffix) - 1;
	char name[TYPE_MAX];
	size_t n = type->n - suffix;

	if (type->n >= TYPE_MAX)
		return -1;
	memcpy(name, type->p, n);
	name[n] = '\0';
	if (strlen(name) != n)
		return -1;
	if (str_starts(name, "sk-"))
		(void)snprintf(name + n, sizeof(name) - n, "@openssh.com");
	for (size_t i = 0; i < ARRAY_SIZE(key_types); i++)
		if (strcmp(name, key_types[i].type) == 0)
			return (ptrdiff_t)i;
	return -1;
}

static bool is_certificate(const struct agentmsg_bytes *type)
{
	static const size_t suffix = sizeof(cert_suffix) - 1;

	return type->n > suffix && memcmp(type->p + type->n - suffix, cert_suffix, suffix) == 0;
}

bool agentmsg_plain_key(const uint8_t *key, size_t n, struct str *to)
{
	struct agentmsg_bytes rest = {key, n};
	struct agentmsg_bytes s;
	const uint8_t *start;
	ptrdiff_t type;

	if (n > AGENTMSG_KEY_BYTES_MAX || !take_string(&rest, &s) || s.n == 0 || rest.n == 0)
		return false;
	if (!is_certificate(&s)) {
		str_add(to, key, n);
		return true;
	}
	type = type_in_certificate(&s);
	if (type < 0 || !take_string(&rest, &s)) /* the nonce */
		return false;
	start = rest.p;
	for (size_t i = 0; i < key_types[type].strings; i++)
		if (!take_string(&rest, &s))
			return false;
	add_string(to, &(struct agentmsg_bytes){(const uint8_t *)key_types[type].type, strlen(key_types[type].type)});
	str_add(to, start, (size_t)(rest.p - start));
	return true;
}

/* Its index among the box's keys, -1 when it has no such. */
static ptrdiff_t find_key(const struct agentmsg_keys *keys, const struct agentmsg_bytes *key)
{
	_cleanup_str_ struct str plain = STR_INIT;

	if (!agentmsg_plain_key(key->p, key->n, &plain))
		return -1;
	for (size_t i = 0; i < keys->n; i++)
		if (equals(&keys->v[i], plain.p, plain.len))
			return (ptrdiff_t)i;
	return -1;
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static enum agentmsg_verdict sign_request(const struct agentmsg_keys *keys, struct agentmsg_bytes rest, size_t *ret_key)
{
	struct agentmsg_bytes key;
	struct agentmsg_bytes data;
	uint32_t flags;
	ptrdiff_t at;

	if (!take_string(&rest, &key) || !take_string(&rest, &data) || !take_u32(&rest, &flags) || rest.n > 0)
		return AGENTMSG_REFUSED;
	at = find_key(keys, &key);
	if (at < 0)
		return AGENTMSG_REFUSED;
	*ret_key = (size_t)at;
	return AGENTMSG_SIGN;
}

static enum agentmsg_verdict extension(struct agentmsg_bytes rest)
{
	struct agentmsg_bytes name;
	struct agentmsg_bytes s;

	if (!take_string(&rest, &name) || !equals(&name, session_bind, sizeof(session_bind) - 1))
		return AGENTMSG_REFUSED;
	/* host key, session identifier, signature; and whether the agent is forwarded there, one byte */
	for (int i = 0; i < 3; i++)
		if (!take_string(&rest, &s))
			return AGENTMSG_REFUSED;
	return rest.n == 1 ? AGENTMSG_BIND : AGENTMSG_REFUSED;
}

enum agentmsg_verdict agentmsg_request(const struct agentmsg_keys *keys, const uint8_t *p, size_t n, size_t *ret_key)
{
	if (n == 0)
		return AGENTMSG_REFUSED;
	switch (p[0]) {
	case REQUEST_IDENTITIES:
		return n == 1 ? AGENTMSG_LIST : AGENTMSG_REFUSED;
	case SIGN_REQUEST:
		return sign_request(keys, (struct agentmsg_bytes){p + 1, n - 1}, ret_key);
	case EXTENSION:
		return extension((struct agentmsg_bytes){p + 1, n - 1});
	default:
		return AGENTMSG_REFUSED;
	}
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

ssize_t agentmsg_identities(const uint8_t *p, size_t n, struct agentmsg_identity *ret, size_t max)
{
	struct agentmsg_bytes rest = {p, n};
	uint32_t count;

	if (n == 0 || p[0] != IDENTITIES_ANSWER)
		return -EBADMSG;
	rest = (struct agentmsg_bytes){p + 1, n - 1};
	if (!take_u32(&rest, &count))
		return -EBADMSG;
	if (count > max)
		return -E2BIG;
	for (uint32_t i = 0; i < count; i++)
		if (!take_string(&rest, &ret[i].key) || !take_string(&rest, &ret[i].comment))
			return -EBADMSG;
	return rest.n == 0 ? (ssize_t)count : -EBADMSG;
}

static bool add_list(const struct agentmsg_keys *keys, const uint8_t *p, size_t n, struct str *to)
{
	static const uint8_t type = IDENTITIES_ANSWER;
	_cleanup_free_ struct agentmsg_identity *all = xcalloc(AGENTMSG_IDENTITIES_MAX, sizeof(*all));
	ssize_t count = agentmsg_identities(p, n, all, AGENTMSG_IDENTITIES_MAX);
	size_t start = to->len;
	uint32_t kept = 0;

	if (count < 0)
		return false;
	add32(to, 0);
	str_add(to, &type, 1);
	add32(to, 0);
	for (ssize_t i = 0; i < count; i++) {
		if (find_key(keys, &all[i].key) < 0)
			continue;
		add_string(to, &all[i].key);
		add_string(to, &all[i].comment);
		kept++;
	}
	put32((uint8_t *)to->p + start, to->len - start - LENGTH_BYTES);
	put32((uint8_t *)to->p + start + LENGTH_BYTES + 1, kept);
	return true;
}

/* One string and nothing else. */
static bool is_signature(const uint8_t *p, size_t n)
{
	struct agentmsg_bytes rest = {p + 1, n - 1};
	struct agentmsg_bytes s;

	return p[0] == SIGN_RESPONSE && take_string(&rest, &s) && s.n > 0 && rest.n == 0;
}

bool agentmsg_add_answer(const struct agentmsg_keys *keys, enum agentmsg_verdict asked, const uint8_t *p, size_t n,
			 struct str *to)
{
	bool good = false;

	if (n > 0 && asked == AGENTMSG_LIST && add_list(keys, p, n, to))
		return true;
	if (n > 0 && asked == AGENTMSG_SIGN)
		good = is_signature(p, n);
	else if (n > 0 && asked == AGENTMSG_BIND)
		good = n == 1 && p[0] == SUCCESS;
	if (good)
		add_string(to, &(struct agentmsg_bytes){p, n});
	else
		agentmsg_add_failure(to);
	return good;
}
