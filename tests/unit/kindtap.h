/* The part of the kinds' contract that is about the gateway of a machine; included by kind.c. */
#ifndef IGLOO_TESTS_KINDTAP_H
#define IGLOO_TESTS_KINDTAP_H

/* QEMU's own network, where there is no tap: what reaches the gateway through it. */
TEST(machine_has_the_gateway_behind_its_network)
{
	static const char *const also_a_name[] = {"example.org", NULL};

	granted = also_a_name;
	(void)setenv("IGLOO_VM_NET", "user", 1);
	CHECK(arrives_as("198.18.1.1"));
	CHECK(gate_run("ask", "192.0.0.1 53") == 0);
	CHECK(arrived(gate.sockets.dns_udp));
	CHECK(gate_run("cat", "/etc/resolv.conf") == 0);
	CHECK_STR(out, "nameserver 192.0.0.1\noptions timeout:5 attempts:2\n");
	CHECK(gate_run("dial", "1.1.1.1 443") != 0);
	gate_drop();
	(void)unsetenv("IGLOO_VM_NET");
	granted = a_name;
}

static void tell_route(struct machine *m, const char *to, uint8_t bits)
{
	uint8_t payload[MSG_ROUTE_BYTES];

	CHECK(inet_pton(AF_INET, to, payload) == 1);
	payload[4] = bits;
	CHECK(link_send(&m->link, 0, FRAME_ROUTE, 0, payload, sizeof(payload), NULL, 0) == 0);
}

/* A machine with a tap has a gateway from the start. It is widened here, and the machine is told. */
TEST(tap_gateway_is_widened)
{
	static const char *const entries[] = {NULL};
	struct sockaddr_in own = {0};
	socklen_t len = sizeof(own);
	_cleanup_close_ int every = -1;
	_cleanup_close_ int fd = -1;
	struct err *e = NULL;
	struct box_spec *spec = &gate.m.f.spec;

	granted = entries;
	CHECK(run_gated("links", "") == 0);
	CHECK(strncmp(out, "lo 127.0.0.1\neth0 192.0.0.2\n", 28) == 0);
	CHECK(gate.sockets.anchor >= 0);
	CHECK(run_gated("dial", "10.7.1.1 80") == ENETUNREACH);
	strv_add(&spec->allow, "10.7.0.0/16:80");
	if (has_every_port())
		strv_add(&spec->allow, "example.org:*");
	CHECK(kind->widen_gateway(gate.m.f.box->running.pid, spec, gate.sockets.anchor, &every, &e) == 0);
	tell_route(&gate.m, "10.7.0.0", 16);
	if (every >= 0) {
		CHECK(listen(every, 16) == 0);
		CHECK(run_gated("say", "10.7.1.1 4711") == 0);
		CHECK(arrived(every));
		fd = accept4(every, NULL, NULL, SOCK_CLOEXEC);
		CHECK(fd >= 0 && getsockname(fd, (struct sockaddr *)&own, &len) == 0);
		CHECK(own.sin_addr.s_addr == inet_addr("10.7.1.1") && own.sin_port == htons(4711));
	} else {
		CHECK(arrives_as("10.7.1.1"));
	}
	/* Without its sockets it answers nothing. */
	close_sockets(&gate.sockets);
	gate.sockets = ENGINE_SOCKETS_INIT;
	every = close_fd(every);
	CHECK(run_gated("dial", "198.18.1.1 80") == ECONNREFUSED);
	gate_drop();
	granted = a_name;
}

#endif
