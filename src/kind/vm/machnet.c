#include "kind/vm/machnet.h"

#include "base/log.h"
#include "kind/common/gateway.h"
#include "net/policy.h"
#include "net/synth.h"
#include "sys/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAP_HINT "`igloo doctor` says what helps; IGLOO_VM_NET=user does without one"

static int choose_tap(bool must, enum machnet *ret, struct err **e)
{
	int r = tap_try();

	if (r < 0 && must) {
		(void)err_errno(e, -r, "no tap for the machine's network: cannot open %s", TAP_DEVICE);
		return err_hint(e, TAP_HINT);
	}
	log_verbose(r < 0 ? "the machine's network is QEMU's own, because %s cannot be used: %s"
			  : "the machine's network is a tap (%s)",
		    TAP_DEVICE, strerror(-r));
	*ret = r < 0 ? MACHNET_USER : MACHNET_TAP;
	return 0;
}

int machnet_choose(const struct box_spec *spec, enum machnet *ret, struct err **e)
{
	const char *wish = getenv("IGLOO_VM_NET");

	*ret = MACHNET_NONE;
	if (spec->network == BOX_NET_NONE)
		return 0;
	if (!wish || !*wish || strcmp(wish, "auto") == 0)
		return choose_tap(false, ret, e);
	if (strcmp(wish, "tap") == 0)
		return choose_tap(true, ret, e);
	if (strcmp(wish, "user") != 0)
		return err_set(e, EINVAL, "IGLOO_VM_NET is none of: auto, tap, user");
	*ret = MACHNET_USER;
	return 0;
}

const char *machnet_netdev(enum machnet net)
{
	switch (net) {
	case MACHNET_TAP:
		return "tap,fd=4"; /* VMHOST_TAP_FD */
	case MACHNET_USER:
		return "user,ipv6=off";
	default:
		return NULL;
	}
}

static int add_routes(const struct strv *allow, struct str *to, struct err **e)
{
	_cleanup_policy_ struct policy *policy = policy_new();
	_cleanup_free_ struct policy_net *nets = NULL;
	int r = policy_add_all(policy, allow, e);
	size_t n;

	if (r < 0)
		return r;
	n = policy_nets(policy, NULL, 0);
	nets = xcalloc(n + 1, sizeof(*nets));
	(void)policy_nets(policy, nets, n);
	for (size_t i = 0; i < n; i++) {
		char text[INET_ADDRSTRLEN];

		if (nets[i].net.family == AF_INET && inet_ntop(AF_INET, nets[i].net.bytes, text, sizeof(text)))
			str_addf(to, "route=%s/%u\n", text, nets[i].bits);
	}
	return 0;
}

int machnet_configure(enum machnet net, const struct strv *allow, struct str *to, struct err **e)
{
	switch (net) {
	case MACHNET_TAP:
		str_addf(to, "address=%s/%d\ngateway=%s\nroute=%s/%d\n", GATEWAY_BOX_ADDRESS, GATEWAY_LINK_BITS,
			 GATEWAY_ADDRESS, GATEWAY_SYNTHETIC, GATEWAY_SYNTHETIC_BITS);
		return add_routes(allow, to, e);
	case MACHNET_USER:
		str_adds(to, "address=10.0.2.15/24\ngateway=10.0.2.2\n");
		return 0;
	default:
		return 0;
	}
}
