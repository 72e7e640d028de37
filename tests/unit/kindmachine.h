/* The kinds' contract where a kind has a machine (struct kind.machine); included by kind.c.
 *
 * A machine takes seconds to start, so commands that need no box of their own run in one that is kept, over its guest's
 * connection: a command that supervise_run() runs is the box's end. */
#ifndef IGLOO_TESTS_KINDMACHINE_H
#define IGLOO_TESTS_KINDMACHINE_H

#include "sys/spawn.h"
#include "sys/tap.h"
#include "wire/link.h"
#include "wire/msg.h"

enum { MACHINE_MS = 180000, MACHINE_MEMORY = 512 << 20, MACHINE_CPUS = 1000 };

struct machine {
	struct fixture f;
	struct link link;
	uint32_t stream; /* of the last command; 0: the machine is not there */
};

static struct machine kept;

/* What this host lacks for the kind, or NULL. */
static const char *lacking(void)
{
	_cleanup_free_ char *qemu = spawn_find("qemu-system-x86_64", NULL, NULL);

	if (!kind->machine)
		return NULL;
	if (!qemu)
		return "qemu-system-x86_64";
	return getenv("IGLOO_TEST_KERNEL") ? NULL : "an unpacked kernel package (IGLOO_TEST_KERNEL)";
}

static bool in_memory; /* the next machine's disk */

static void fit_spec(struct box_spec *spec)
{
	if (!kind->machine)
		return;
	spec->machine.overlay = in_memory;
	spec->machine.kernel = xstrdup(getenv("IGLOO_TEST_KERNEL"));
	/* The first makes what the others go on from. */
	spec->machine.start = xstrdup("warm");
	spec->limits.memory = MACHINE_MEMORY;
	spec->limits.cpu_milli = MACHINE_CPUS;
}

/* Does the test say something of this kind? With a tap (TAP_DEVICE) a machine's gateway is tested as a sandbox's, but
 * for what is different there. Without, how its network looks from inside is QEMU's affair. */
static bool is_about_kind(const char *test)
{
	static const char *const others[] = {"gateway_comes_when_something_is_granted", "gateway_is_widened",
					     "gateway_for_every_port_has_no_other", "gateway_ends_with_its_sockets"};

	if (!kind->machine)
		return !str_starts(test, "machine_") && !str_starts(test, "tap_");
	if (strcmp(test, "gateway_that_cannot_be_made_is_no_box") == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strcmp(test, others[i]) == 0)
			return false;
	return tap_try() == 0 || (!str_starts(test, "gateway_") && !str_starts(test, "tap_"));
}

/* Called when the box was started. */
static void machine_begin(struct machine *m)
{
	m->stream = 1;
	link_init(&m->link, take_fd(&m->f.box->running.link), EXEC_BYTES_MAX);
}

static void machine_end(struct machine *m)
{
	if (!m->stream)
		return;
	m->stream = 0;
	link_release(&m->link);
	end(&m->f);
}

static bool machine_frame(const struct frame *f, struct supervise_result *ret)
{
	struct msg_exit m;

	if (f->type == FRAME_ERR && f->len >= MSG_ERR_BYTES)
		printf("# %.*s\n", (int)(f->len - MSG_ERR_BYTES), (const char *)f->payload + MSG_ERR_BYTES);
	CHECK(f->type != FRAME_ERR);
	if (f->type != FRAME_EXIT)
		return false;
	CHECK(msg_get_exit(f, &m) == 0);
	ret->how = m.kind == MSG_EXIT_SIGNAL ? SUPERVISE_SIGNALLED : SUPERVISE_EXITED;
	ret->value = (int)m.value;
	return true;
}

/* Runs a command in a machine that is there. */
static struct supervise_result machine_exec(struct machine *m, const struct exec *x, const int *fds)
{
	struct supervise_result result = {.value = -1};
	int own[3];
	bool over = false;

	for (int i = 0; i < 3; i++)
		own[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
	CHECK(exec_send(&m->link, ++m->stream, x, own) == 0);
	CHECK(link_drain(&m->link, MACHINE_MS) == 0);
	while (!over) {
		struct pollfd p = {.fd = m->link.fd, .events = POLLIN};
		struct frame f;
		int r;

		CHECK(poll(&p, 1, MACHINE_MS) == 1);
		CHECK(link_receive(&m->link) > 0);
		while ((r = link_next(&m->link, false, &f)) == 1)
			over = machine_frame(&f, &result) || over;
		CHECK(r == 0);
	}
	return result;
}

#endif
