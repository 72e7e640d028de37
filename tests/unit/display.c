/* --display as it is written, and who has connected to a port. */
#include "test.h"

#include "box/display.h"
#include "box/portpeer.h"
#include "sys/fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(parse)
{
	static const char *const bad[] = {"",           "vnc:",  "vnc:x",   "vnc:-1", "vnc:65536",
					  "vnc:999999", "vnc 1", "windows", "vnc:5 "};
	struct display d = {.port = 1};

	CHECK(display_parse(NULL, &d, NULL) == 0 && d.how == DISPLAY_NONE);
	CHECK(display_parse("window", &d, NULL) == 0 && d.how == DISPLAY_WINDOW);
	CHECK(display_parse("vnc", &d, NULL) == 0 && d.how == DISPLAY_VNC && d.port == 5900);
	CHECK(display_parse("vnc:0", &d, NULL) == 0 && d.how == DISPLAY_VNC && d.port == 0);
	CHECK(display_parse("vnc:65535", &d, NULL) == 0 && d.port == 65535);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_err_ struct err *e = NULL;

		CHECK(display_parse(bad[i], &d, &e) == -EINVAL && d.how == DISPLAY_NONE);
	}
}

/* A connection over the loopback of that family that a process of user `uid` (0: this one's) makes: accepted, or -1. */
static int connected(int family, uid_t uid)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr *a = family == AF_INET6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	socklen_t n = family == AF_INET6 ? sizeof(v6) : sizeof(v4);
	_cleanup_close_ int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd;

	if (listener < 0 || bind(listener, a, n) < 0 || listen(listener, 1) < 0 || getsockname(listener, a, &n) < 0)
		return -1;
	if (fork() == 0) {
		if (uid && setresuid(uid, uid, uid) < 0)
			_exit(1);
		fd = socket(family, SOCK_STREAM, 0);
		_exit(connect(fd, a, n) == 0 && read(fd, &(char){0}, 1) == 0 ? 0 : 1);
	}
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static void end(int fd)
{
	(void)close(fd);
	(void)wait(NULL);
}

TEST(own_peer)
{
	const int families[] = {AF_INET, AF_INET6};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		int fd = connected(families[i], 0);

		/* A host without IPv6. */
		CHECK((families[i] == AF_INET6 && fd < 0) || portpeer_is_own(fd));
		end(fd);
	}
	CHECK(!portpeer_is_own(-1));
}

TEST(other_peer)
{
	int fd = geteuid() == 0 ? connected(AF_INET, 65534) : -1;

	if (geteuid() != 0)
		test_lacks = "root";
	else
		CHECK(fd >= 0 && !portpeer_is_own(fd));
	end(fd);
}

TEST_MAIN()
