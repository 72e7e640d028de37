/* Frames, fixed payloads, EXEC in pieces, and a link with descriptors. */
#include "test.h"

#include "sys/fd.h"
#include "wire/exec.h"
#include "wire/frame.h"
#include "wire/link.h"
#include "wire/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A vector of literals, as exec wants it. */
#define V(...) ((char *const *)(uintptr_t)(const char *const[]){__VA_ARGS__})

static struct frame_decoder decoder;

static void reset(void)
{
	decoder.begin = decoder.end = 0;
}

static void feed(const void *p, size_t n)
{
	size_t room;
	uint8_t *to = frame_room(&decoder, &room);

	CHECK(n <= room);
	memcpy(to, p, n);
	frame_grew(&decoder, n);
}

static void put(struct str *s, uint32_t stream, enum frame_type type, uint8_t flags, const void *payload, uint32_t n)
{
	uint8_t h[FRAME_HEADER];

	frame_put_header(h, stream, type, flags, n);
	str_add(s, h, sizeof(h));
	str_add(s, payload, n);
}

TEST(frame_layout)
{
	uint8_t h[FRAME_HEADER];
	static const uint8_t want[FRAME_HEADER] = {0x04, 0x03, 0x00, 0x00, 0xdd, 0xcc, 0xbb, 0xaa, 2, 1};

	frame_put_header(h, 0xaabbccdd, FRAME_EXEC, FRAME_MORE, 0x304);
	CHECK(memcmp(h, want, sizeof(h)) == 0);
}

TEST(frame_byte_by_byte)
{
	_cleanup_str_ struct str s = STR_INIT;
	struct frame f;
	int got = 0;

	reset();
	put(&s, 0, FRAME_PING, 0, "12345678", 8);
	put(&s, 7, FRAME_SIGNAL, 0, "\x0f\0\0", 4);
	for (size_t i = 0; i < s.len; i++) {
		feed(s.p + i, 1);
		if (frame_next(&decoder, &f) != 1)
			continue;
		got++;
		CHECK(i + 1 == (got == 1 ? 18U : 32U));
		CHECK(f.type == (got == 1 ? FRAME_PING : FRAME_SIGNAL));
	}
	CHECK(got == 2 && f.stream == 7 && f.len == 4 && frame_decoder_empty(&decoder));
	CHECK(frame_next(&decoder, &f) == 0);
}

TEST(frame_largest_after_a_part)
{
	_cleanup_str_ struct str s = STR_INIT;
	static char big[FRAME_PAYLOAD_MAX];
	struct frame f;
	size_t room, at = 0;
	int got = 0;

	reset();
	memset(big, 'x', sizeof(big));
	for (uint32_t i = 1; i <= 3; i++)
		put(&s, i, FRAME_EXEC, FRAME_MORE, big, sizeof(big));
	while (at < s.len) {
		size_t n;

		(void)frame_room(&decoder, &room);
		CHECK(room > 0);
		n = room < s.len - at ? room : s.len - at;
		feed(s.p + at, n > 50000 ? 50000 : n);
		at += n > 50000 ? 50000 : n;
		while (frame_next(&decoder, &f) == 1) {
			CHECK(f.len == sizeof(big) && f.stream == (uint32_t)++got);
			CHECK(memcmp(f.payload, big, sizeof(big)) == 0);
		}
	}
	CHECK(got == 3);
}

static int decode_one(uint32_t stream, uint8_t type, uint8_t flags, uint32_t len)
{
	uint8_t h[FRAME_HEADER];
	struct frame f;

	reset();
	frame_put_header(h, stream, (enum frame_type)type, flags, len);
	feed(h, sizeof(h));
	return frame_next(&decoder, &f);
}

TEST(frame_refuses)
{
	CHECK(decode_one(1, FRAME_EXEC, 0, FRAME_PAYLOAD_MAX) == 0);
	CHECK(decode_one(1, FRAME_EXEC, 0, FRAME_PAYLOAD_MAX + 1) == -EPROTO);
	CHECK(decode_one(1, FRAME_EXEC, 0, 0) == -EPROTO);
	CHECK(decode_one(1, FRAME_EXEC, 2, 10) == -EPROTO);
	CHECK(decode_one(0, FRAME_EXEC, 0, 10) == -EPROTO);
	CHECK(decode_one(1, FRAME_SIGNAL, FRAME_MORE, 4) == -EPROTO);
	CHECK(decode_one(1, FRAME_SHUTDOWN, 0, 4) == -EPROTO);
	CHECK(decode_one(1, 0, 0, 4) == -EPROTO);
	CHECK(decode_one(0, 15, 0, 4) == -EPROTO);
	CHECK(decode_one(1, 15, 0, 4) == -EPROTO);
	CHECK(decode_one(1, FRAME_RESIZE, 0, 3) == -EPROTO);
	CHECK(decode_one(1, FRAME_DATA, FRAME_OUT2, FRAME_PAYLOAD_MAX) == 0);
	CHECK(decode_one(1, FRAME_DATA, 4, 1) == -EPROTO);
	CHECK(decode_one(1, FRAME_DATA, 0, 0) == -EPROTO);
	CHECK(decode_one(0, FRAME_DATA, 0, 1) == -EPROTO);
	CHECK(decode_one(1, FRAME_EOF, 0, 0) == 1 && decode_one(1, FRAME_EOF, 0, 1) == -EPROTO);
	CHECK(decode_one(1, FRAME_CLOSE, 0, 0) == 1 && decode_one(0, FRAME_CLOSE, 0, 0) == -EPROTO);
	CHECK(decode_one(1, FRAME_CREDIT, 0, 3) == -EPROTO);
	CHECK(decode_one(1, 255, 0, 4) == -EPROTO);
	CHECK(decode_one(0, FRAME_HELLO, 0, 24) == 0);
	CHECK(decode_one(0, FRAME_HELLO, 0, 25) == -EPROTO);
	CHECK(decode_one(0, FRAME_ERR, 0, 8) == 0);
	CHECK(decode_one(9, FRAME_ERR, 0, 8) == 0);
	CHECK(decode_one(0, FRAME_ERR, 0, 8 + FRAME_WORDS_MAX) == 0);
	CHECK(decode_one(0, FRAME_ERR, 0, 9 + FRAME_WORDS_MAX) == -EPROTO);
}

TEST(msg_values)
{
	uint8_t p[MSG_HELLO_BYTES];
	struct frame f = {.payload = p, .len = sizeof(p)};
	struct msg_exit x = {MSG_EXIT_SIGNAL, 9}, x2;
	struct msg_err m = {ENOENT, MSG_STAGE_EXEC}, m2;
	struct msg_hello h = {MSG_VERSION, MSG_CAP_FDS, "0123456789abcde"}, h2;
	int v;

	msg_put_exit(p, &x);
	CHECK(msg_get_exit(&f, &x2) == 0 && x2.kind == x.kind && x2.value == 9);
	x.value = 0;
	msg_put_exit(p, &x);
	CHECK(msg_get_exit(&f, &x2) == -EPROTO);
	x = (struct msg_exit){MSG_EXIT_CODE, 256};
	msg_put_exit(p, &x);
	CHECK(msg_get_exit(&f, &x2) == -EPROTO);
	msg_put_err(p, &m);
	CHECK(msg_get_err(&f, &m2) == 0 && m2.errnum == ENOENT && m2.stage == MSG_STAGE_EXEC);
	m.stage = MSG_STAGE_MACHINE + 1;
	msg_put_err(p, &m);
	CHECK(msg_get_err(&f, &m2) == -EPROTO);
	msg_put_hello(p, &h);
	CHECK(msg_get_hello(&f, &h2) == 0 && memcmp(&h, &h2, sizeof(h)) == 0);
	msg_put_number(p, 15);
	CHECK(msg_get_signal(&f, &v) == 0 && v == 15);
	msg_put_number(p, 65);
	CHECK(msg_get_signal(&f, &v) == -EPROTO);
	msg_put_number(p, 0);
	CHECK(msg_get_pid(&f, &v) == -EPROTO);
	CHECK_STR(msg_stage_name(MSG_STAGE_CHDIR), "entering the folder");
	CHECK_STR(msg_stage_name(1000), "an unknown step");
}

/* Sends through a socket pair and puts together what arrives. */
static int through(const struct exec *x, const int *fds, struct exec *ret, int *ret_fds)
{
	static struct link a, b;
	struct exec_parts parts = {0};
	int s[2], r;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
	link_init(&a, s[0], EXEC_BYTES_MAX * 2);
	link_init(&b, s[1], 1024);
	r = exec_send(&a, 5, x, fds);
	while (r == 0) {
		struct frame f;

		if (link_flush(&a) < 0 || link_receive(&b) != 1)
			r = -EIO;
		while (r == 0 && (r = link_next(&b, true, &f)) == 1)
			r = exec_feed(&parts, &f, ret);
	}
	if (r == 1 && fds)
		r = link_take_fds(&b, ret_fds, EXEC_FDS) < 0 ? -1 : 1;
	link_release(&a);
	link_release(&b);
	exec_parts_release(&parts);
	return r;
}

TEST(exec_round_trip)
{
	char *const *argv = V("sh", "-c", "", "with\nnewline \xff", NULL);
	char *const *env = V("A=1", "", "PATH=/bin", NULL);
	struct exec x = {EXEC_MAIN | EXEC_FOREGROUND, 1000, 100, 24, 80, "/tmp/a b", argv, env, STR_INIT};
	struct exec y;

	CHECK(through(&x, NULL, &y, NULL) == 1);
	CHECK(y.flags == x.flags && y.uid == 1000 && y.gid == 100 && y.rows == 24 && y.cols == 80);
	CHECK_STR(y.cwd, x.cwd);
	for (int i = 0; i < 4; i++)
		CHECK_STR(y.argv[i], argv[i]);
	for (int i = 0; i < 3; i++)
		CHECK_STR(y.env[i], env[i]);
	CHECK(!y.argv[4] && !y.env[3]);
	exec_release(&y);
	x.env = NULL;
	CHECK(through(&x, NULL, &y, NULL) == 1 && y.env[0] == NULL);
	exec_release(&y);
}

TEST(exec_in_pieces_with_descriptors)
{
	_cleanup_strv_ struct strv env = STRV_INIT;
	struct exec x = {.flags = EXEC_HAS_FDS, .cwd = "/", .argv = V("x", NULL)}, y;
	int p[2], fds[3], got[3];
	char c;

	for (int i = 0; i < 3000; i++)
		strv_addf(&env, "V%d=%0*d", i, 1000, i);
	x.env = env.v;
	CHECK(pipe(p) == 0);
	fds[0] = p[1];
	fds[1] = open("/dev/null", O_RDWR);
	fds[2] = dup(p[1]);
	CHECK(through(&x, fds, &y, got) == 1);
	CHECK_STR(y.env[2999], env.v[2999]);
	exec_release(&y);
	CHECK(fcntl(fds[1], F_GETFD) < 0 || fds[1] == got[0] || fds[1] == got[1] || fds[1] == got[2]);
	CHECK(write(got[0], "a", 1) == 1 && read(p[0], &c, 1) == 1 && c == 'a');
	CHECK(fcntl(got[1], F_GETFD) == FD_CLOEXEC);
	for (int i = 0; i < 3; i++)
		(void)close(got[i]);
	CHECK(read(p[0], &c, 1) == 0);
	(void)close(p[0]);
}

TEST(exec_bounds)
{
	_cleanup_strv_ struct strv many = STRV_INIT;
	_cleanup_free_ char *big = xcalloc(1, EXEC_BYTES_MAX + 1);
	char *const *one = V("x", NULL), *const *huge = V(big, NULL), *const *none = V(NULL);
	struct exec x = {.cwd = "/", .argv = one}, y;

	for (int i = 0; i < EXEC_STRINGS_MAX; i++)
		strv_add(&many, "");
	x.env = many.v;
	CHECK(through(&x, NULL, &y, NULL) == -E2BIG);
	x.env = many.v + 1;
	CHECK(through(&x, NULL, &y, NULL) == 1);
	exec_release(&y);
	memset(big, 'a', EXEC_BYTES_MAX);
	x.env = huge;
	CHECK(through(&x, NULL, &y, NULL) == -E2BIG);
	x.env = NULL;
	x.argv = none;
	CHECK(through(&x, NULL, &y, NULL) == -EINVAL);
	x.argv = one;
	x.cwd = "relative";
	CHECK(through(&x, NULL, &y, NULL) == -EINVAL);
	x.cwd = "/";
	x.flags = EXEC_PTY | EXEC_FOREGROUND;
	CHECK(through(&x, NULL, &y, NULL) == -EINVAL);
	x.flags = EXEC_HAS_FDS;
	CHECK(through(&x, NULL, &y, NULL) == -EINVAL);
	x.flags = 16;
	CHECK(through(&x, NULL, &y, NULL) == -EINVAL);
}

static int decode_text(uint32_t argc, uint32_t envc, const char *strings, size_t n)
{
	_cleanup_str_ struct str s = STR_INIT;
	uint8_t h[EXEC_HEADER] = {0};
	struct exec x;
	int r;

	frame_put32(h + 16, argc);
	frame_put32(h + 20, envc);
	str_add(&s, h, sizeof(h));
	str_add(&s, strings, n);
	r = exec_decode(&s, &x);
	if (r == 0)
		exec_release(&x);
	return r;
}

TEST(exec_decode_refuses)
{
	CHECK(decode_text(1, 1, "/\0a\0b", 6) == 0);
	CHECK(decode_text(1, 1, "/\0a\0b", 5) == -EPROTO);   /* not terminated */
	CHECK(decode_text(1, 1, "/\0a\0b\0", 7) == -EPROTO); /* something behind */
	CHECK(decode_text(2, 1, "/\0a\0b", 6) == -EPROTO);
	CHECK(decode_text(0, 2, "/\0a\0b", 6) == -EPROTO);
	CHECK(decode_text(1, UINT32_MAX, "/\0a\0b", 6) == -EPROTO);
	CHECK(decode_text(UINT32_MAX, 2, "/\0a\0b", 6) == -EPROTO);
	CHECK(decode_text(1, 0, "\0a", 3) == -EPROTO);
	CHECK(decode_text(1, 0, "", 0) == -EPROTO);
}

TEST(exec_other_stream_between_pieces)
{
	struct exec_parts p = {0};
	struct frame f = {
		.stream = 1, .type = FRAME_EXEC, .flags = FRAME_MORE, .len = 2, .payload = (const uint8_t *)"ab"};
	struct exec x;

	CHECK(exec_feed(&p, &f, &x) == 0);
	f.stream = 2;
	CHECK(exec_feed(&p, &f, &x) == -EPROTO);
	exec_parts_release(&p);
}

TEST(link_descriptors_that_nobody_asked_for)
{
	static struct link l;
	uint8_t h[FRAME_HEADER + 8] = {0};
	struct frame f;
	int s[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
	link_init(&l, s[0], 100);
	frame_put_header(h, 0, FRAME_PING, 0, 8);
	CHECK(fd_send(s[1], h, sizeof(h), s, 2) == 0);
	CHECK(link_receive(&l) == 1);
	CHECK(link_next(&l, false, &f) == 1);
	CHECK(link_next(&l, true, &f) == 0);
	CHECK(link_next(&l, false, &f) == -EPROTO);
	link_release(&l);
	(void)close(s[1]);
}

TEST(link_bound_and_slow_reader)
{
	static struct link a, b;
	static char text[1000];
	struct frame f;
	int s[2], queued = 0, got = 0;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
	link_init(&a, s[0], 500000);
	link_init(&b, s[1], 100);
	while (link_send(&a, 1, FRAME_EXEC, 0, text, sizeof(text), NULL, 0) == 0) {
		queued++;
		CHECK(link_flush(&a) == 0 && queued < 10000);
	}
	CHECK(link_pending(&a));
	CHECK(link_drain(&a, 10) == -ETIMEDOUT);
	for (int i = 0; i < 10000 && got < queued; i++) {
		CHECK(link_receive(&b) == 1);
		while (link_next(&b, false, &f) == 1)
			got++;
		CHECK(link_flush(&a) == 0);
	}
	CHECK(got == queued && !link_pending(&a));
	(void)close_fd(take_fd(&b.fd));
	CHECK(link_send(&a, 1, FRAME_EXEC, 0, text, 1, NULL, 0) == 0 && link_flush(&a) == -EPIPE);
	link_release(&a);
	link_release(&b);
}

TEST_MAIN()
