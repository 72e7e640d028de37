/* The process between the store server and nix-store: a question goes through, and the answer; anything else ends it.
 */
#include "nix/storefilter.h"

#include "test.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATH_A STOREPATH_DIR "/00000000000000000000000000000000-a"
#define PATH_B STOREPATH_DIR "/11111111111111111111111111111111-bb.drv"

static void put_number(struct str *to, uint64_t n)
{
	uint64_t le = htole64(n);

	str_add(to, &le, sizeof(le));
}

static void put_text(struct str *to, const char *text)
{
	put_number(to, strlen(text));
	str_add(to, text, strlen(text));
	str_add(to, "\0\0\0\0\0\0\0", (8 - strlen(text) % 8) % 8);
}

static void greeting(struct str *to)
{
	put_number(to, STOREFILTER_MAGIC);
	put_number(to, STOREFILTER_VERSION);
}

static void question(struct str *to, uint64_t what, uint64_t n, const char *a, const char *b)
{
	put_number(to, what);
	put_number(to, n);
	if (a)
		put_text(to, a);
	if (b)
		put_text(to, b);
}

static ssize_t message(const struct str *s, bool greeted)
{
	return storefilter_message((const uint8_t *)s->p, s->len, greeted);
}

TEST(messages)
{
	_cleanup_str_ struct str s = STR_INIT;
	size_t first;

	greeting(&s);
	CHECK(message(&s, false) == 16 && message(&s, true) == -EPROTO);
	str_clear(&s);
	put_number(&s, STOREFILTER_MAGIC);
	put_number(&s, STOREFILTER_VERSION + 1);
	CHECK(message(&s, false) == -EPROTO);
	str_clear(&s);
	question(&s, 2, 2, PATH_A, PATH_B);
	CHECK(message(&s, true) == (ssize_t)s.len && message(&s, false) == -EPROTO);
	first = s.len;
	question(&s, 3, 1, PATH_A, NULL);
	CHECK(message(&s, true) == (ssize_t)first);
}

TEST(refused)
{
	static const struct {
		uint64_t what, n;
		const char *path;
	} bad[] = {
		{1, 1, PATH_A}, /* QueryValidPaths: could substitute */
		{3, 1, PATH_A}, /* DumpStorePath */
		{4, 1, PATH_A}, /* ImportPaths */
		{5, 1, PATH_A}, /* ExportPaths */
		{6, 1, PATH_A}, /* BuildPaths */
		{7, 1, PATH_A}, /* QueryClosure */
		{8, 1, PATH_A}, /* BuildDerivation */
		{9, 1, PATH_A}, /* AddToStoreNar */
		{1ULL << 32 | 2, 1, PATH_A},
		{2, 0, PATH_A},
		{2, STOREINDEX_SAME + 1, PATH_A},
		{2, 1ULL << 63, PATH_A},
		{2, 1, PATH_A "/bin"},
		{2, 1, PATH_A "/.."},
		{2, 1, STOREPATH_DIR},
		{2, 1, "/etc/shadow"},
		{2, 1, "00000000000000000000000000000000-a"},
		{2, 1, PATH_A "\n"},
		{2, 1, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_str_ struct str s = STR_INIT;

		question(&s, bad[i].what, bad[i].n, bad[i].path, NULL);
		CHECK(message(&s, true) == -EPROTO);
	}
}

TEST(odd_texts)
{
	_cleanup_str_ struct str s = STR_INIT;

	question(&s, 2, 1, PATH_A, NULL);
	s.p[s.len - 1] = 'x'; /* padding */
	CHECK(message(&s, true) == -EPROTO);
	str_clear(&s);
	question(&s, 2, 1, PATH_A, NULL);
	s.p[16 + 8 + sizeof(PATH_A) - 2] = '\0'; /* in the name */
	CHECK(message(&s, true) == -EPROTO);
	str_clear(&s);
	put_number(&s, 2);
	put_number(&s, 1);
	put_number(&s, UINT64_MAX);
	CHECK(message(&s, true) == -EPROTO);
}

static bool comes(int fd, const void *bytes, size_t n)
{
	char got[512];

	return n <= sizeof(got) && recv(fd, got, n, MSG_WAITALL) == (ssize_t)n && memcmp(got, bytes, n) == 0;
}

/* Both ends end: nothing more came through. */
static bool ended(int server, int nix)
{
	char byte;

	return recv(nix, &byte, 1, 0) == 0 && recv(server, &byte, 1, 0) <= 0;
}

static bool start(int *server, int *nix)
{
	_cleanup_err_ struct err *e = NULL;
	const struct timeval limit = {.tv_sec = 10};
	int a[2];
	int b[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b) == 0);
	(void)setsockopt(a[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(b[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	*server = a[0];
	*nix = b[0];
	if (storefilter_start(a[1], b[1], &e) == 0)
		return true;
	printf("# cannot be shut in here: %s\n", err_message(e));
	return false;
}

TEST(passes)
{
	_cleanup_str_ struct str s = STR_INIT;
	_cleanup_close_ int server = -1;
	_cleanup_close_ int nix = -1;

	if (!start(&server, &nix))
		return;
	greeting(&s);
	question(&s, 2, 1, PATH_A, NULL);
	for (size_t i = 0; i < s.len; i++)
		CHECK(send(server, s.p + i, 1, MSG_NOSIGNAL) == 1);
	CHECK(comes(nix, s.p, s.len));
	CHECK(send(nix, "whatever", 8, MSG_NOSIGNAL) == 8 && comes(server, "whatever", 8));
	str_clear(&s);
	question(&s, 2, 2, PATH_B, PATH_A);
	CHECK(send(server, s.p, s.len, MSG_NOSIGNAL) == (ssize_t)s.len && comes(nix, s.p, s.len));
	/* A dump: not one byte of it. */
	str_clear(&s);
	put_number(&s, 3);
	put_text(&s, PATH_A);
	CHECK(send(server, s.p, s.len, MSG_NOSIGNAL) == (ssize_t)s.len);
	CHECK(ended(server, nix));
}

TEST(no_greeting)
{
	_cleanup_str_ struct str s = STR_INIT;
	_cleanup_close_ int server = -1;
	_cleanup_close_ int nix = -1;

	if (!start(&server, &nix))
		return;
	question(&s, 2, 1, PATH_A, NULL);
	CHECK(send(server, s.p, s.len, MSG_NOSIGNAL) == (ssize_t)s.len && ended(server, nix));
}

TEST(ends_with_either)
{
	int server = -1;
	int nix = -1;
	char byte;

	if (!start(&server, &nix))
		return;
	(void)close(server);
	CHECK(recv(nix, &byte, 1, 0) == 0);
	(void)close(nix);
	if (!start(&server, &nix))
		return;
	(void)close(nix);
	CHECK(recv(server, &byte, 1, 0) == 0);
	(void)close(server);
}

TEST_MAIN()
