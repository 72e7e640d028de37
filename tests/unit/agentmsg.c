/* What passes between a box and an SSH agent, and what does not. */
#include "net/agentmsg.h"

#include "test.h"

#include <errno.h>

static void add32(struct str *s, size_t n)
{
	const char bytes[] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};

	str_add(s, bytes, sizeof(bytes));
}

static void add(struct str *s, const char *bytes, size_t n)
{
	add32(s, n);
	str_add(s, bytes, n);
}

static void adds(struct str *s, const char *text)
{
	add(s, text, strlen(text));
}

/* "ssh-ed25519" and 32 bytes that begin with `name`. */
static void add_key(struct str *s, const char *name)
{
	char bytes[32] = "";

	(void)snprintf(bytes, sizeof(bytes), "%s", name);
	adds(s, "ssh-ed25519");
	add(s, bytes, sizeof(bytes));
}

static void add_certificate(struct str *s, const char *type, const char *const *fields)
{
	adds(s, type);
	adds(s, "nonce");
	for (; *fields; fields++)
		adds(s, *fields);
	adds(s, "serial, principals, and so on");
}

static struct str mine;
static struct agentmsg_keys keys;

static void make_keys(void)
{
	str_clear(&mine);
	add_key(&mine, "mine");
	keys.v[0] = (struct agentmsg_bytes){(const uint8_t *)mine.p, mine.len};
	keys.n = 1;
}

static enum agentmsg_verdict verdict(const struct str *s)
{
	size_t key = 99;
	enum agentmsg_verdict v = agentmsg_request(&keys, (const uint8_t *)str_text(s), s->len, &key);

	CHECK((v == AGENTMSG_SIGN) == (key == 0));
	return v;
}

static void sign_request(struct str *s, const struct str *key)
{
	str_clear(s);
	str_addc(s, 13);
	add(s, key->p, key->len);
	adds(s, "data");
	add32(s, 4);
}

TEST(lengths)
{
	static const uint8_t most[] = {0, 4, 0, 0};
	static const uint8_t more[] = {0, 4, 0, 1};
	static const uint8_t none[] = {0, 0, 0, 0};
	static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 1};

	CHECK(agentmsg_length(most, 3) == 0);
	CHECK(agentmsg_length(most, 4) == AGENTMSG_MAX + 4);
	CHECK(agentmsg_length(more, 4) == -EMSGSIZE);
	CHECK(agentmsg_length(none, 4) == -EMSGSIZE);
	CHECK(agentmsg_length(huge, 5) == -EMSGSIZE);
}

TEST(requests)
{
	_cleanup_str_ struct str s = STR_INIT;
	_cleanup_str_ struct str other = STR_INIT;

	make_keys();
	CHECK(verdict(&s) == AGENTMSG_REFUSED);
	for (int type = 0; type < 256; type++) {
		str_clear(&s);
		str_addc(&s, (char)type);
		CHECK(verdict(&s) == (type == 11 ? AGENTMSG_LIST : AGENTMSG_REFUSED));
		str_addc(&s, 0);
		CHECK(verdict(&s) == AGENTMSG_REFUSED);
	}
	sign_request(&s, &mine);
	CHECK(verdict(&s) == AGENTMSG_SIGN);
	for (size_t n = s.len; n-- > 1;) {
		size_t key;

		CHECK(agentmsg_request(&keys, (const uint8_t *)s.p, n, &key) == AGENTMSG_REFUSED);
	}
	str_addc(&s, 0);
	CHECK(verdict(&s) == AGENTMSG_REFUSED);
	add_key(&other, "other");
	sign_request(&s, &other);
	CHECK(verdict(&s) == AGENTMSG_REFUSED);
	str_addc(&mine, 0);
	sign_request(&s, &mine);
	CHECK(verdict(&s) == AGENTMSG_REFUSED);
	str_clear(&other);
	sign_request(&s, &other);
	CHECK(verdict(&s) == AGENTMSG_REFUSED);
}

TEST(session_bind)
{
	static const char *const names[] = {"session-bind@openssh.com", "query", "session-bind@openssh.com2", ""};

	make_keys();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_str_ struct str s = STR_INIT;

		str_addc(&s, 27);
		adds(&s, names[i]);
		adds(&s, "host key");
		adds(&s, "session");
		adds(&s, "signature");
		CHECK(verdict(&s) == AGENTMSG_REFUSED);
		str_addc(&s, 1);
		CHECK(verdict(&s) == (i == 0 ? AGENTMSG_BIND : AGENTMSG_REFUSED));
		str_addc(&s, 1);
		CHECK(verdict(&s) == AGENTMSG_REFUSED);
	}
}

TEST(certificates)
{
	static const struct {
		const char *certificate;
		const char *type; /* NULL: not known */
		const char *fields[6];
	} v[] = {
		{"ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", {"a", NULL}},
		{"ssh-rsa-cert-v01@openssh.com", "ssh-rsa", {"e", "n", NULL}},
		{"ssh-dss-cert-v01@openssh.com", "ssh-dss", {"p", "q", "g", "y", NULL}},
		{"ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384", {"nistp384", "q", NULL}},
		{"sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com", {"a", "ssh:", NULL}},
		{"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
		 "sk-ecdsa-sha2-nistp256@openssh.com",
		 {"nistp256", "q", "ssh:", NULL}},
		{"ssh-new-cert-v01@openssh.com", NULL, {"a", NULL}},
		{"ssh-ed25519@openssh.com-cert-v01@openssh.com", NULL, {"a", NULL}},
		{"sk-ssh-ed25519@openssh.com-cert-v01@openssh.com", NULL, {"a", "ssh:", NULL}},
		{"-cert-v01@openssh.com-cert-v01@openssh.com", NULL, {"a", NULL}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		_cleanup_str_ struct str certificate = STR_INIT;
		_cleanup_str_ struct str key = STR_INIT;
		_cleanup_str_ struct str got = STR_INIT;
		bool known;

		add_certificate(&certificate, v[i].certificate, v[i].fields);
		known = agentmsg_plain_key((const uint8_t *)certificate.p, certificate.len, &got);
		CHECK(known == (v[i].type != NULL));
		if (!known)
			continue;
		adds(&key, v[i].type);
		for (size_t k = 0; v[i].fields[k]; k++)
			adds(&key, v[i].fields[k]);
		CHECK(got.len == key.len && memcmp(got.p, key.p, key.len) == 0);
	}
}

TEST(a_certificate_is_its_key)
{
	_cleanup_str_ struct str certificate = STR_INIT;
	_cleanup_str_ struct str s = STR_INIT;
	char bytes[32] = "mine";

	make_keys();
	adds(&certificate, "ssh-ed25519-cert-v01@openssh.com");
	adds(&certificate, "nonce");
	add(&certificate, bytes, sizeof(bytes));
	sign_request(&s, &certificate);
	CHECK(verdict(&s) == AGENTMSG_SIGN);
	bytes[31] = 1;
	str_clear(&certificate);
	adds(&certificate, "ssh-ed25519-cert-v01@openssh.com");
	adds(&certificate, "nonce");
	add(&certificate, bytes, sizeof(bytes));
	sign_request(&s, &certificate);
	CHECK(verdict(&s) == AGENTMSG_REFUSED);
}

static const char failure[] = {0, 0, 0, 1, 5};

static bool answer(enum agentmsg_verdict asked, const struct str *from, struct str *to)
{
	bool good;

	str_clear(to);
	good = agentmsg_add_answer(&keys, asked, (const uint8_t *)str_text(from), from->len, to);
	CHECK(agentmsg_length((const uint8_t *)to->p, to->len) == (ssize_t)to->len);
	CHECK(good != (to->len == sizeof(failure) && memcmp(to->p, failure, sizeof(failure)) == 0));
	return good;
}

TEST(lists)
{
	_cleanup_str_ struct str other = STR_INIT;
	_cleanup_str_ struct str s = STR_INIT;
	_cleanup_str_ struct str to = STR_INIT;
	struct agentmsg_identity all[4];

	make_keys();
	add_key(&other, "other");
	str_addc(&s, 12);
	add32(&s, 3);
	add(&s, other.p, other.len);
	adds(&s, "one");
	add(&s, mine.p, mine.len);
	adds(&s, "two");
	adds(&s, "no key");
	adds(&s, "");
	CHECK(agentmsg_identities((const uint8_t *)s.p, s.len, all, 4) == 3);
	CHECK(agentmsg_identities((const uint8_t *)s.p, s.len, all, 2) == -E2BIG);
	CHECK(agentmsg_identities((const uint8_t *)s.p, s.len - 1, all, 4) == -EBADMSG);
	CHECK(answer(AGENTMSG_LIST, &s, &to));
	CHECK(agentmsg_identities((const uint8_t *)to.p + 4, to.len - 4, all, 4) == 1);
	CHECK(all[0].key.n == mine.len && memcmp(all[0].key.p, mine.p, mine.len) == 0);
	CHECK(all[0].comment.n == 3 && memcmp(all[0].comment.p, "two", 3) == 0);
	CHECK(!answer(AGENTMSG_SIGN, &s, &to) && !answer(AGENTMSG_BIND, &s, &to) && !answer(AGENTMSG_REFUSED, &s, &to));
	str_addc(&s, 0);
	CHECK(!answer(AGENTMSG_LIST, &s, &to));
}

TEST(answers)
{
	_cleanup_str_ struct str s = STR_INIT;
	_cleanup_str_ struct str to = STR_INIT;

	make_keys();
	CHECK(!answer(AGENTMSG_SIGN, &s, &to));
	str_addc(&s, 14);
	adds(&s, "signature");
	CHECK(answer(AGENTMSG_SIGN, &s, &to) && to.len == 4 + s.len && memcmp(to.p + 4, s.p, s.len) == 0);
	CHECK(!answer(AGENTMSG_LIST, &s, &to) && !answer(AGENTMSG_BIND, &s, &to));
	str_addc(&s, 0);
	CHECK(!answer(AGENTMSG_SIGN, &s, &to));
	str_clear(&s);
	str_addc(&s, 14);
	adds(&s, "");
	CHECK(!answer(AGENTMSG_SIGN, &s, &to));
	str_clear(&s);
	str_addc(&s, 6);
	CHECK(answer(AGENTMSG_BIND, &s, &to) && !answer(AGENTMSG_SIGN, &s, &to));
	str_addc(&s, 6);
	CHECK(!answer(AGENTMSG_BIND, &s, &to));
	str_clear(&s);
	str_addc(&s, 5);
	CHECK(!answer(AGENTMSG_SIGN, &s, &to) && !answer(AGENTMSG_LIST, &s, &to));
	str_release(&mine);
}

TEST_MAIN()
