/* A message of a box or of an SSH agent, behind its length. The first byte says whose, and what it answers. What
 * passes must be well formed, and about the one key there is. */
#include "fuzz.h"

#include "net/agentmsg.h"

#include <string.h>

/* ssh-ed25519 and 32 zeros: what mutations find easily. */
static const uint8_t key[] =
	"\0\0\0\x0bssh-ed25519\0\0\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

_Static_assert(sizeof(key) == 51, "a key");
static const struct agentmsg_keys keys = {.v = {{key, sizeof(key)}}, .n = 1};

static void check_request(const uint8_t *p, size_t n)
{
	size_t at = 99;
	enum agentmsg_verdict v = agentmsg_request(&keys, p, n, &at);

	if ((v == AGENTMSG_SIGN) != (at == 0))
		abort();
	if ((v == AGENTMSG_LIST && p[0] != 11) || (v == AGENTMSG_SIGN && p[0] != 13) ||
	    (v == AGENTMSG_BIND && p[0] != 27))
		abort();
}

static void check_answer(enum agentmsg_verdict asked, const uint8_t *p, size_t n)
{
	_cleanup_str_ struct str to = STR_INIT;
	_cleanup_free_ struct agentmsg_identity *all = xcalloc(AGENTMSG_IDENTITIES_MAX, sizeof(*all));
	bool good = agentmsg_add_answer(&keys, asked, p, n, &to);
	ssize_t count;

	if (agentmsg_length((const uint8_t *)to.p, to.len) != (ssize_t)to.len ||
	    (!good && (to.len != 5 || to.p[4] != 5)))
		abort();
	if (!good || asked != AGENTMSG_LIST)
		return;
	count = agentmsg_identities((const uint8_t *)to.p + 4, to.len - 4, all, AGENTMSG_IDENTITIES_MAX);
	if (count < 0)
		abort();
	for (ssize_t i = 0; i < count; i++) {
		_cleanup_str_ struct str plain = STR_INIT;

		if (!agentmsg_plain_key(all[i].key.p, all[i].key.n, &plain) || plain.len != sizeof(key) ||
		    memcmp(plain.p, key, sizeof(key)) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_str_ struct str plain = STR_INIT;

	if (size == 0 || size > AGENTMSG_MAX)
		return 0;
	(void)agentmsg_length(data, size);
	(void)agentmsg_plain_key(data + 1, size - 1, &plain);
	if (data[0] & 4)
		check_request(data + 1, size - 1);
	else
		check_answer((enum agentmsg_verdict)(data[0] & 3), data + 1, size - 1);
	return 0;
}

FUZZ_MAIN()
