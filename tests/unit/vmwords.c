/* What a machine says on its console, what QEMU says on its monitor, and when a machine that starts is given up. */
#include "test.h"

#include "guest/vmlive.h"
#include "guest/vmqmp.h"
#include "guest/vmwords.h"

#include <sys/socket.h>
#include <unistd.h>

static struct vmwords w;

static bool add(const char *text)
{
	return vmwords_add(&w, text, strlen(text));
}

static bool last_is(const char *text)
{
	size_t n;
	const char *line = vmwords_last_line(&w, &n);

	return n == strlen(text) && memcmp(line, text, n) == 0;
}

TEST(stages)
{
	w = (struct vmwords){0};
	CHECK(!add("igloo-stage") && !add(" 1") && w.stage == VMSTAGE_KERNEL);
	CHECK(add("\r\n") && w.stage == VMSTAGE_INIT);
	CHECK(add("igloo-stage 2\nigloo-stage 3\n") && w.stage == VMSTAGE_PORT);
	/* Not back, not further than there is, nothing else. */
	CHECK(!add("igloo-stage 3\nigloo-stage 1\nigloo-stage 5\nigloo-stage 9\nigloo-stage 44\nigloo-stage "
		   ":\nigloo-stage \n"));
	CHECK(!add("[ 1.0] igloo-stage 4\n") && w.stage == VMSTAGE_PORT);
}

TEST(panic)
{
	static char padding[10000];

	w = (struct vmwords){0};
	(void)add("[    2.5] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\r\n");
	(void)add("[    2.6] CPU: 0\n---[ end Kernel panic - not syncing: Attempted ]---\n");
	CHECK_STR(w.panic, "Attempted to kill init! exitcode=0x00000100");
	/* A line without an end. */
	w = (struct vmwords){0};
	memset(padding, 'x', sizeof(padding));
	(void)add("Kernel panic - not syncing: ");
	(void)vmwords_add(&w, padding, sizeof(padding));
	(void)add("\n");
	CHECK(strlen(w.panic) < VMWORDS_LINE_MAX && strlen(w.panic) > 100);
}

TEST(last_words)
{
	static char padding[100000];
	size_t n;

	w = (struct vmwords){0};
	CHECK(last_is(""));
	(void)add("first\nsecond\r\n \n");
	CHECK(last_is("second"));
	(void)add("begun");
	CHECK(last_is("begun"));
	(void)vmwords_add(&w, padding, sizeof(padding));
	(void)add("\nend");
	CHECK(w.n == sizeof(w.last) && last_is("end"));
	memset(padding, 'y', sizeof(padding));
	(void)vmwords_add(&w, padding, sizeof(padding));
	(void)vmwords_last_line(&w, &n);
	CHECK(n == sizeof(w.last));
}

static struct vmqmp q;

static void hear(const char *text)
{
	vmqmp_feed(&q, text, strlen(text));
}

TEST(monitor)
{
	q = (struct vmqmp){.fd = -1};
	hear("{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n{\"return\": {}}\r\n");
	hear("{\"timestamp\": {\"seconds\": 1}, \"event\": \"SHUTDOWN\", \"data\": {\"guest\": true}}\r\n");
	CHECK(!q.stopped && !q.no_space);
	/* What a machine named something is a string, with its quotes escaped. */
	hear("{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"id\": \"\\\"event\\\": \\\"STOP\\\"\"}}\r\n");
	CHECK(!q.stopped);
	hear("{\"timestamp\": {}, \"event\": \"BLOCK_IO_ERROR\", \"data\": {\"device\": \"\", \"nospace\": true, ");
	hear("\"reason\": \"No space left on device\"}}\r\n{\"timestamp\": {}, \"event\": \"ST");
	CHECK(q.no_space && !q.stopped);
	hear("OP\"}\r\n");
	CHECK(q.stopped);
	hear("{\"timestamp\": {}, \"event\": \"RESUME\"}\n");
	CHECK(!q.stopped);
}

TEST(monitor_that_floods)
{
	static char bytes[100000];

	q = (struct vmqmp){.fd = -1};
	memset(bytes, '"', sizeof(bytes));
	vmqmp_feed(&q, bytes, sizeof(bytes));
	hear("\n{\"event\": \"STOP\"}\n");
	CHECK(q.stopped);
}

TEST(monitor_is_asked)
{
	char bytes[128];
	int ends[2];
	ssize_t n;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	q = (struct vmqmp){0};
	vmqmp_begin(&q, ends[0]);
	vmqmp_quit(&q);
	n = recv(ends[1], bytes, sizeof(bytes) - 1, 0);
	CHECK(n > 0);
	bytes[n] = '\0';
	CHECK_STR(bytes, "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n");
	(void)close(ends[1]);
	vmqmp_read(&q);
	CHECK(q.fd == -1);
	vmqmp_quit(&q);
}

TEST(a_machine_that_starts_is_given_up)
{
	struct vmlive l = {.whole = 180000};
	enum { SPIN = 45000, IDLE = 60000 };

	vmlive_progress(&l, 1000, 200);
	CHECK(vmlive_check(&l, 2000, 900) == VMLIVE_FINE);
	/* A busy host's: much time, some of it its own. */
	CHECK(vmlive_check(&l, 1000 + 170000, 200 + 17000) == VMLIVE_FINE);
	CHECK(vmlive_check(&l, 1000 + 50000, 200 + SPIN) == VMLIVE_SPINS);
	CHECK(vmlive_check(&l, 1000 + IDLE, 200 + 300) == VMLIVE_IDLES);
	CHECK(vmlive_check(&l, 1000 + IDLE - 1, 200) == VMLIVE_FINE);
	vmlive_progress(&l, 61000, 500);
	CHECK(vmlive_check(&l, 61000 + 2000, 500) == VMLIVE_FINE);
	/* A system of its own; and KVM. */
	l.whole = 900000;
	CHECK(vmlive_check(&l, 61000 + 100000, 500 + 100000) == VMLIVE_FINE);
	l.whole = 20000;
	CHECK(vmlive_check(&l, 61000 + 9999, 500) == VMLIVE_FINE);
	CHECK(vmlive_check(&l, 61000 + 10000, 500 + 10000) == VMLIVE_SPINS);
	CHECK(vmlive_cpu_ms(getpid()) >= 0 && vmlive_cpu_ms(getpid()) < 60000);
}

TEST_MAIN()
