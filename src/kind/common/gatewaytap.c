/* The link of a gateway that is a tap.
 *
 * Theory of operation. In a sandbox the kernel that sends into the link is the one at its other end, and the box has no
 * raw socket. A machine sends whatever frames it likes, so here the gateway's own settings must hold:
 *
 *     forwarding 0        what is for no address of the gateway goes nowhere. A new namespace has the host's value,
 *                         which is 1 wherever containers run; the gateway has no other link all the same
 *     rp_filter 1         a source that is not the box's own address (192.0.0.2) is dropped, in ARP too. The kernel has
 *                         one table of neighbours for all network namespaces: with invented senders in ARP requests a
 *                         machine would fill it, and the host's own network would fail
 *     accept_local 0, route_localnet 0, accept_source_route 0
 *                         no source that is the gateway's, nothing to or from 127.0.0.0/8, no route of the sender's
 *     accept_redirects 0, arp_accept 0, proxy_arp 0, arp_ignore 1
 *                         nothing is learned from what was not asked, and of the gateway only its own address answers
 *     disable_ipv6 1      IPv6 frames are dropped unread: no advertisement is followed, no neighbour kept
 *
 * As a link whose frames have a struct virtio_net_hdr it takes segments of 64 KiB with no checksum from the machine and
 * gives it such: there is no wire between. */
#include "kind/common/gateway_impl.h"

#include "base/mem.h"
#include "sys/tap.h"

#include <unistd.h>

static const struct {
	const char *name;
	const char *value;
} settings[] = {
	{"forwarding", "0"},     {"rp_filter", "1"},           {"accept_local", "0"},
	{"route_localnet", "0"}, {"accept_source_route", "0"}, {"accept_redirects", "0"},
	{"arp_accept", "0"},     {"proxy_arp", "0"},           {"arp_ignore", "1"},
};

/* Of all links, some of which are or'ed with a link's own; and of those to come. */
static int write_settings(struct err **e)
{
	static const char *const whose[] = {"all", "default"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(whose) && r == 0; i++) {
		_cleanup_free_ char *six = xasprintf("ipv6/conf/%s/disable_ipv6", whose[i]);
		_cleanup_free_ char *path = xasprintf("/proc/sys/net/%s", six);

		for (size_t k = 0; k < ARRAY_SIZE(settings) && r == 0; k++) {
			_cleanup_free_ char *name = xasprintf("ipv4/conf/%s/%s", whose[i], settings[k].name);

			r = gateway_write_sysctl(name, settings[k].value, e);
		}
		/* Not there where the kernel has no IPv6. */
		if (r == 0 && access(path, F_OK) == 0)
			r = gateway_write_sysctl(six, "1", e);
	}
	return r;
}

int gateway_tap(struct gateway *g, struct netlink *n, struct err **e)
{
	int link = 0;
	int r = write_settings(e);

	if (r == 0)
		r = g->tap = tap_make(g->device, GATEWAY_LINK_OUTSIDE, e);
	return r < 0 ? r : gateway_configure(n, &link, e);
}
