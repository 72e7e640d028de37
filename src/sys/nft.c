/* The format of the messages: linux/netfilter/nf_tables.h, and what `nft --debug=mnl` shows of
 *
 *     table ip igloo {
 *         chain in {
 *             type filter hook prerouting priority mangle
 *             ip daddr != EXCEPT meta l4proto tcp tproxy to TO:PORT accept
 *         }
 *     }
 *
 * tproxy gives the packet the socket and changes nothing in it, so that nothing is tracked, and packets of connections
 * that are there find these first (nft_tproxy_eval_v4() in the kernel). */
#include "sys/nft.h"

#include "base/mem.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TABLE "igloo"
#define CHAIN "in"

enum { BATCH_MAX = 1024, ANSWER_MAX = 8192, ANSWERS_MAX = 16, TIMEOUT_SECONDS = 10 };
enum { PRIORITY_MANGLE = -150 }; /* NF_IP_PRI_MANGLE; TPROXY works there only */
enum { DADDR_OFFSET = 16 };      /* RFC 791, 3.1 */

/* Messages one behind the other; all lengths are multiples of 4. */
struct batch {
	uint32_t len;
	uint32_t message; /* where the one being written starts */
	uint32_t sequence;
	bool full;
	union {
		struct nlmsghdr head;
		char bytes[BATCH_MAX];
	};
};

static void put(struct batch *b, const void *bytes, size_t n)
{
	if (n > sizeof(b->bytes) - b->len || NLMSG_ALIGN(n) > sizeof(b->bytes) - b->len) {
		b->full = true;
		return;
	}
	memcpy(b->bytes + b->len, bytes, n);
	memset(b->bytes + b->len + n, 0, NLMSG_ALIGN(n) - n);
	b->len += (uint32_t)NLMSG_ALIGN(n);
}

static void begin(struct batch *b, uint16_t type, uint16_t flags, uint8_t family, uint16_t resource)
{
	const struct nlmsghdr head = {
		.nlmsg_type = type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags), .nlmsg_seq = ++b->sequence};
	const struct nfgenmsg gen = {.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};

	b->message = b->len;
	put(b, &head, sizeof(head));
	put(b, &gen, sizeof(gen));
}

static void end(struct batch *b)
{
	const uint32_t n = b->len - b->message;

	if (!b->full)
		memcpy(b->bytes + b->message + offsetof(struct nlmsghdr, nlmsg_len), &n, sizeof(n));
}

static void attr(struct batch *b, uint16_t type, const void *data, size_t n)
{
	const struct nlattr a = {.nla_len = (uint16_t)(NLA_HDRLEN + n), .nla_type = type};

	put(b, &a, sizeof(a));
	put(b, data, n);
}

static void attr_text(struct batch *b, uint16_t type, const char *text)
{
	attr(b, type, text, strlen(text) + 1);
}

/* Numbers are big endian here, whatever the machine's order. */
static void attr_u32(struct batch *b, uint16_t type, uint32_t value)
{
	const uint32_t be = htonl(value);

	attr(b, type, &be, sizeof(be));
}

static uint32_t nest(struct batch *b, uint16_t type)
{
	const uint32_t start = b->len;

	attr(b, type | NLA_F_NESTED, "", 0);
	return start;
}

static void nest_end(struct batch *b, uint32_t start)
{
	const uint16_t n = (uint16_t)(b->len - start);

	if (!b->full)
		memcpy(b->bytes + start + offsetof(struct nlattr, nla_len), &n, sizeof(n));
}

/* --- expressions ----------------------------------------------------------------------------------------------- */

struct expression {
	uint32_t element;
	uint32_t data;
};

static struct expression expression(struct batch *b, const char *name)
{
	struct expression x = {.element = nest(b, NFTA_LIST_ELEM)};

	attr_text(b, NFTA_EXPR_NAME, name);
	x.data = nest(b, NFTA_EXPR_DATA);
	return x;
}

static void expression_end(struct batch *b, struct expression x)
{
	nest_end(b, x.data);
	nest_end(b, x.element);
}

static void value(struct batch *b, uint16_t type, const void *bytes, size_t n)
{
	uint32_t nested = nest(b, type);

	attr(b, NFTA_DATA_VALUE, bytes, n);
	nest_end(b, nested);
}

/* Goes on when register 1 compares so with the bytes. */
static void compare(struct batch *b, uint32_t op, const void *bytes, size_t n)
{
	struct expression x = expression(b, "cmp");

	attr_u32(b, NFTA_CMP_SREG, NFT_REG_1);
	attr_u32(b, NFTA_CMP_OP, op);
	value(b, NFTA_CMP_DATA, bytes, n);
	expression_end(b, x);
}

static void load_destination(struct batch *b)
{
	struct expression x = expression(b, "payload");

	attr_u32(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
	attr_u32(b, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	attr_u32(b, NFTA_PAYLOAD_OFFSET, DADDR_OFFSET);
	attr_u32(b, NFTA_PAYLOAD_LEN, sizeof(struct in_addr));
	expression_end(b, x);
}

static void load_protocol(struct batch *b)
{
	struct expression x = expression(b, "meta");

	attr_u32(b, NFTA_META_KEY, NFT_META_L4PROTO);
	attr_u32(b, NFTA_META_DREG, NFT_REG_1);
	expression_end(b, x);
}

static void load_constant(struct batch *b, uint32_t reg, const void *bytes, size_t n)
{
	struct expression x = expression(b, "immediate");

	attr_u32(b, NFTA_IMMEDIATE_DREG, reg);
	value(b, NFTA_IMMEDIATE_DATA, bytes, n);
	expression_end(b, x);
}

/* To the address in register 1, the port in 2. */
static void tproxy(struct batch *b)
{
	struct expression x = expression(b, "tproxy");

	attr_u32(b, NFTA_TPROXY_FAMILY, NFPROTO_IPV4);
	attr_u32(b, NFTA_TPROXY_REG_ADDR, NFT_REG_1);
	attr_u32(b, NFTA_TPROXY_REG_PORT, NFT_REG_2);
	expression_end(b, x);
}

static void accept_packet(struct batch *b)
{
	struct expression x = expression(b, "immediate");
	uint32_t data;
	uint32_t verdict;

	attr_u32(b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nest(b, NFTA_IMMEDIATE_DATA);
	verdict = nest(b, NFTA_DATA_VERDICT);
	attr_u32(b, NFTA_VERDICT_CODE, NF_ACCEPT);
	nest_end(b, verdict);
	nest_end(b, data);
	expression_end(b, x);
}

/* --- table, chain, rule ---------------------------------------------------------------------------------------- */

static void add_table(struct batch *b)
{
	begin(b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_CREATE, NFPROTO_IPV4, 0);
	attr_text(b, NFTA_TABLE_NAME, TABLE);
	end(b);
}

static void add_chain(struct batch *b)
{
	uint32_t hook;

	begin(b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFPROTO_IPV4, 0);
	attr_text(b, NFTA_CHAIN_TABLE, TABLE);
	attr_text(b, NFTA_CHAIN_NAME, CHAIN);
	attr_text(b, NFTA_CHAIN_TYPE, "filter");
	hook = nest(b, NFTA_CHAIN_HOOK);
	attr_u32(b, NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
	attr_u32(b, NFTA_HOOK_PRIORITY, (uint32_t)PRIORITY_MANGLE);
	nest_end(b, hook);
	end(b);
}

static void add_rule(struct batch *b, struct in_addr except, struct in_addr to, uint16_t port)
{
	const uint8_t tcp = IPPROTO_TCP;
	const uint16_t be_port = htons(port);
	uint32_t list;

	begin(b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, NFPROTO_IPV4, 0);
	attr_text(b, NFTA_RULE_TABLE, TABLE);
	attr_text(b, NFTA_RULE_CHAIN, CHAIN);
	list = nest(b, NFTA_RULE_EXPRESSIONS);
	load_destination(b);
	compare(b, NFT_CMP_NEQ, &except, sizeof(except));
	load_protocol(b);
	compare(b, NFT_CMP_EQ, &tcp, sizeof(tcp));
	load_constant(b, NFT_REG_1, &to, sizeof(to));
	load_constant(b, NFT_REG_2, &be_port, sizeof(be_port));
	tproxy(b);
	accept_packet(b);
	nest_end(b, list);
	end(b);
}

/* The first error, or the rule's acknowledgement: 0. */
static int wait_answer(int fd, uint32_t rule)
{
	for (int i = 0; i < ANSWERS_MAX; i++) {
		union {
			struct nlmsghdr head;
			char bytes[ANSWER_MAX];
		} answer;
		ssize_t k = recv(fd, &answer, sizeof(answer), 0);
		struct nlmsgerr error;

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if ((size_t)k < NLMSG_LENGTH(sizeof(error.error)) || answer.head.nlmsg_type != NLMSG_ERROR)
			continue;
		memcpy(&error.error, NLMSG_DATA(&answer.head), sizeof(error.error));
		if (error.error < 0)
			return error.error;
		if (answer.head.nlmsg_seq == rule)
			return 0;
	}
	return -EBADMSG;
}

static int send_batch(struct in_addr except, struct in_addr to, uint16_t port)
{
	const struct timeval limit = {.tv_sec = TIMEOUT_SECONDS};
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	struct batch b = {0};
	uint32_t rule;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	begin(&b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	end(&b);
	add_table(&b);
	add_chain(&b);
	add_rule(&b, except, to, port);
	rule = b.sequence;
	begin(&b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	end(&b);
	if (b.full)
		return -EMSGSIZE;
	if (sendto(fd, b.bytes, b.len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	return wait_answer(fd, rule);
}

int nft_redirect_all(struct in_addr except, struct in_addr to, uint16_t port, struct err **e)
{
	int r = send_batch(except, to, port);

	if (r == 0)
		return 0;
	(void)err_set(e, ENOTSUP, "this kernel cannot bring all ports to one listener (nf_tables with tproxy): %s",
		      strerror(-r));
	(void)err_hint(e, "%s", NFT_FIX);
	return -ENOTSUP;
}
