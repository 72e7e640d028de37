/* One rule of nf_tables, set by nfnetlink: what comes to any port goes to one listener. */
#ifndef IGLOO_SYS_NFT_H
#define IGLOO_SYS_NFT_H

#include "base/err.h"

#include <netinet/in.h>
#include <stdint.h>

/* For people: what helps where the kernel has no such rules. */
#define NFT_FIX                                                                                              \
	"sudo modprobe -a nf_tables nft_tproxy; for good: printf 'nf_tables\\nnft_tproxy\\n' | sudo tee -a " \
	"/etc/modules-load.d/igloo.conf"

/* In the caller's network namespace, which needs CAP_NET_ADMIN: each TCP packet that comes in for another IPv4 address
 * than `except` goes to the socket that listens on `to`:`port` (host order) and is IP_TRANSPARENT. An accepted socket's
 * own address and port are those the packet was sent to. To be called once. -ENOTSUP, with a hint, where the kernel has
 * no such rules. */
int nft_redirect_all(struct in_addr except, struct in_addr to, uint16_t port, struct err **e);

#endif
