/* A box of nothing but a PID namespace and a user namespace, with the real guest in it (from the image
 * that igloo carries), and the host's side of its connection. */
#ifndef IGLOO_TESTS_GUEST_BOX_H
#define IGLOO_TESTS_GUEST_BOX_H

#include "test.h"

#include "guest/image.h"
#include "sys/fd.h"
#include "wire/exec.h"
#include "wire/link.h"
#include "wire/msg.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STREAMS = 512, PATIENCE_MS = 20000 };

/* A vector of literals, as exec wants it. */
#define V(...) ((char *const *)(uintptr_t)(const char *const[]){__VA_ARGS__, NULL})
#define SH(script) V("sh", "-c", script)

struct stream {
	int pid;
	bool over; /* EXIT or ERR came */
	struct msg_exit end;
	struct msg_err err;
	int master;
};

static struct box {
	pid_t pid;
	struct link link;
	struct msg_hello hello;
	bool gone;         /* the connection is at its end */
	uint64_t hello_us; /* from clone() to HELLO */
	int pongs;
	struct stream s[STREAMS];
} box = {.link = {.fd = -1}};

static uint64_t now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int guest_memfd(void)
{
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("igloo-guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (fd < 0 || fd_write_all(fd, guest_image, guest_image_size) < 0)
			abort();
		(void)fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	}
	return fd;
}

static bool write_map(pid_t pid, const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/%s", (int)pid, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0;
}

/* All ids as they are for root, the own one as 0 for anybody else. */
static bool write_maps(pid_t pid)
{
	_cleanup_free_ char *uid = xasprintf("0 %u %u\n", geteuid(), geteuid() == 0 ? 60000 : 1);
	_cleanup_free_ char *gid = xasprintf("0 %u %u\n", getegid(), geteuid() == 0 ? 60000 : 1);

	if (geteuid() != 0 && !write_map(pid, "setgroups", "deny"))
		return false;
	return write_map(pid, "uid_map", uid) && write_map(pid, "gid_map", gid);
}

static pid_t start_guest(int sock)
{
	char fd[16], c;
	int go[2];
	pid_t pid;

	(void)snprintf(fd, sizeof(fd), "%d", sock);
	if (pipe2(go, O_CLOEXEC) < 0)
		return -1;
	pid = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER | CLONE_NEWPID, 0, 0, 0, 0);
	if (pid == 0) {
		(void)close(go[1]);
		if (read(go[0], &c, 1) == 1 && fcntl(sock, F_SETFD, 0) == 0) {
			(void)signal(SIGPIPE, SIG_IGN); /* not to be handed down */
			(void)syscall(SYS_execveat, guest_memfd(), "", V("igloo-guest", fd), V("A=b"), AT_EMPTY_PATH);
		}
		_exit(99);
	}
	if (pid > 0 && (!write_maps(pid) || write(go[1], "x", 1) != 1)) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		pid = -1;
	}
	(void)close(go[0]);
	(void)close(go[1]);
	return pid;
}

static int on_frame(const struct frame *f)
{
	struct stream *s = &box.s[f->stream < STREAMS ? f->stream : 0];

	switch (f->type) {
	case FRAME_HELLO:
		return msg_get_hello(f, &box.hello);
	case FRAME_STARTED:
		if (box.link.in_fds_n > 0)
			(void)link_take_fds(&box.link, &s->master, 1);
		return msg_get_pid(f, &s->pid);
	case FRAME_EXIT:
		s->over = true;
		return s->pid ? msg_get_exit(f, &s->end) : -EPROTO;
	case FRAME_ERR:
		s->over = true;
		return s->pid ? -EPROTO : msg_get_err(f, &s->err);
	case FRAME_DIALED:
		s->over = true;
		return link_take_fds(&box.link, &s->master, 1);
	case FRAME_PONG:
		box.pongs++;
		return 0;
	default:
		return -EPROTO;
	}
}

/* Sends and receives once, waiting at most `ms`. */
static void pump(int ms)
{
	struct pollfd p = {.fd = box.link.fd, .events = POLLIN};
	struct frame f;
	int r;

	(void)link_flush(&box.link);
	if (link_pending(&box.link))
		p.events |= POLLOUT;
	if (box.gone || poll(&p, 1, ms) <= 0 || !(p.revents & ~POLLOUT))
		return;
	r = link_receive(&box.link);
	box.gone = r <= 0 && r != -EAGAIN;
	while ((r = link_next(&box.link, false, &f)) == 1)
		CHECK(on_frame(&f) == 0);
	CHECK(r == 0);
}

#define PUMP_UNTIL(cond)                                        \
	do {                                                    \
		uint64_t end_ = now_us() + PATIENCE_MS * 1000;  \
		while (!(cond) && now_us() < end_ && !box.gone) \
			pump(100);                              \
		CHECK(cond);                                    \
	} while (0)

/* The guest's exit code, or 1000 + the signal that ended it. */
static int box_wait(void)
{
	int status;

	CHECK(waitpid(box.pid, &status, 0) == box.pid);
	box.pid = 0;
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void box_kill(void)
{
	if (box.pid > 0) {
		(void)kill(box.pid, SIGKILL);
		(void)box_wait();
	}
	if (box.link.fd >= 0)
		link_release(&box.link);
	for (int i = 0; i < STREAMS; i++)
		box.s[i].master = close_fd(box.s[i].master);
}

/* What stands between this host and the guest, if anything: gets the guest's end, returns the one that the guest is to
 * have instead. */
static int (*box_between)(int sock);

static void ATTR_UNUSED box_open(void)
{
	uint64_t begin;
	int s[2];

	box_kill();
	memset(box.s, 0, sizeof(box.s));
	for (int i = 0; i < STREAMS; i++)
		box.s[i].master = -1;
	box.gone = false;
	box.pongs = 0;
	box.hello = (struct msg_hello){0};
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
	(void)guest_memfd();
	if (box_between)
		s[1] = box_between(s[1]);
	begin = now_us();
	box.pid = start_guest(s[1]);
	(void)close(s[1]);
	CHECK(box.pid > 0);
	link_init(&box.link, s[0], 2 * EXEC_BYTES_MAX);
	PUMP_UNTIL(box.hello.version == MSG_VERSION);
	box.hello_us = now_us() - begin;
}

static void exec_with(uint32_t stream, uint32_t flags, char *const *argv, const int *fds)
{
	struct exec x = {.flags = flags, .rows = 37, .cols = 91, .cwd = "/tmp", .argv = argv};

	x.env = V("PATH=/usr/local/bin:/usr/bin:/bin", "TERM=dumb");
	CHECK(exec_send(&box.link, stream, &x, fds) == 0);
	CHECK(link_drain(&box.link, PATIENCE_MS) == 0);
}

/* Runs it with a pipe as stdout and stderr, of which the reading end is returned. */
static int ATTR_UNUSED exec_piped(uint32_t stream, uint32_t flags, char *const *argv)
{
	int p[2], fds[3];

	CHECK(pipe2(p, O_CLOEXEC) == 0);
	fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fds[1] = p[1];
	fds[2] = fcntl(p[1], F_DUPFD_CLOEXEC, 0);
	exec_with(stream, flags | EXEC_HAS_FDS, argv, fds);
	return p[0];
}

/* Waits for the end of a stream: its exit code, 1000 + signal, or -errno of an ERR. */
static int ATTR_UNUSED end_of(uint32_t stream)
{
	struct stream *s = &box.s[stream];

	PUMP_UNTIL(s->over);
	if (s->err.stage)
		return -(int)s->err.errnum;
	return s->end.kind == MSG_EXIT_SIGNAL ? 1000 + (int)s->end.value : (int)s->end.value;
}

static void ATTR_UNUSED send_number(uint32_t stream, enum frame_type type, uint32_t v)
{
	uint8_t p[MSG_NUMBER_BYTES];

	msg_put_number(p, v);
	CHECK(link_send(&box.link, stream, type, 0, p, sizeof(p), NULL, 0) == 0);
	CHECK(link_drain(&box.link, PATIENCE_MS) == 0);
}

/* Reads until the end, or one line; the descriptor is closed at the end. The text is valid until the next call. */
static const char ATTR_UNUSED *slurp(int fd, bool line)
{
	static char text[4096];
	size_t n = 0;

	while (n < sizeof(text) - 1) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t k = poll(&p, 1, PATIENCE_MS) == 1 ? read(fd, text + n, line ? 1 : sizeof(text) - 1 - n) : -1;

		if (k <= 0) {
			(void)close(fd);
			break;
		}
		n += (size_t)k;
		if (line && text[n - 1] == '\n')
			break;
	}
	text[n] = '\0';
	return text;
}

/* How many children the guest has, zombies counted; in the end every process of the box is one. */
static int ATTR_UNUSED guest_children(void)
{
	DIR *d = opendir("/proc");
	struct dirent *ent;
	int n = 0;

	while (d && (ent = readdir(d))) {
		_cleanup_free_ char *path = xasprintf("/proc/%s/stat", ent->d_name);
		_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
		char buf[512] = "";
		const char *p;

		if (fd < 0 || read(fd, buf, sizeof(buf) - 1) <= 0)
			continue;
		p = strrchr(buf, ')');
		if (p && strtol(p + 4, NULL, 10) == box.pid)
			n++;
	}
	if (d)
		(void)closedir(d);
	return n;
}

#endif
