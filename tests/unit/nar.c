#include "test.h"

#include "fmt/digest.h"
#include "nix/nar.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <sys/stat.h>

/* The hashes are what `nix-store --dump X | sha256sum` of Nix 2.8 printed for the same files. */

static char *folder;
static int top = -1;

static void put(const char *name, const char *bytes, size_t n, mode_t mode)
{
	_cleanup_close_ int fd = openat(top, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && fd_write_all(fd, bytes, n) == 0 && fchmod(fd, mode) == 0);
}

static bool is(const char *name, const char *hex, uint64_t size)
{
	uint8_t sum[DIGEST_SHA256_BYTES];
	char got[DIGEST_SHA256_HEX + 1];
	uint64_t n = 0;

	if (nar_hash(top, name, sum, &n, NULL) < 0)
		return false;
	digest_hex(sum, sizeof(sum), got);
	return strcmp(hex, got) == 0 && (size == 0 || n == size);
}

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");

	folder = xasprintf("%s/igloo-nar-XXXXXX", tmp ? tmp : "/tmp");
	CHECK(mkdtemp(folder));
	top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(top >= 0);
}

static void cleanup(void)
{
	const char *name = strrchr(folder, '/') + 1;
	_cleanup_close_ int parent = openat(top, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)file_remove_tree(parent, name, NULL);
	top = close_fd(top);
	free(take_ptr(folder));
}

TEST(tree)
{
	static char zeros[300000];

	setup();
	CHECK(mkdirat(top, "tree", 0700) == 0 && mkdirat(top, "tree/sub", 0700) == 0);
	CHECK(mkdirat(top, "tree/sub/empty", 0500) == 0);
	put("tree/a", "hello\n", 6, 0644);
	put("tree/a.b", "12345678", 8, 0400);
	put("tree/a0", "", 0, 0655);
	put("tree/B", "B", 1, 0644);
	put("tree/run", "#!/bin/sh\n", 10, 0755);
	put("tree/sub/\303\274 n", "x", 1, 0644);
	CHECK(symlinkat("a", top, "tree/link") == 0);
	CHECK(symlinkat("/nonexistent/\303\251", top, "tree/sub/dangling") == 0);
	put("big", zeros, sizeof(zeros), 0644);
	CHECK(is("tree", "650a4468d2c94af7c62a989f1017502482b035d6fce8fc14dab8ba6c973119b9", 2008));
	CHECK(is("big", "09463df7b1a7dd21906a8444d276572f0872a41c953cf4cbafb43ca5756be4f5", 0));
	CHECK(symlinkat("a", top, "link") == 0);
	CHECK(is("link", "b2d471a08d30662f14c0ae1e718b16f9fc1f38de425f47cca0437e9e93bc1f24", 0));
	put("run", "#!/bin/sh\n", 10, 0700);
	CHECK(is("run", "6283c1668260f903d1a895c0cd6b822fa4b68762bb0b17cedef2d39d97e26554", 0));
	CHECK(mkdirat(top, "empty", 0700) == 0);
	CHECK(is("empty", "a50a5ab6d992f5598edd92105059fae9acfc192981e08bd88534c2167e92526a", 0));
	cleanup();
}

TEST(refused)
{
	_cleanup_err_ struct err *e = NULL;
	uint8_t sum[DIGEST_SHA256_BYTES];
	uint64_t n;

	setup();
	CHECK(mkdirat(top, "d", 0700) == 0);
	CHECK(mkfifoat(top, "d/fi\nfo", 0600) == 0);
	CHECK(nar_hash(top, "d", sum, &n, &e) == -EINVAL);
	CHECK_STR(err_message(e), "'d/fi\\x0afo' is not a file, folder or symbolic link, so no NAR can hold it");
	CHECK(nar_hash(top, "missing", sum, &n, &e) == -ENOENT);
	CHECK_STR(err_message(e), "cannot stat 'missing': No such file or directory");
	cleanup();
}

TEST(too_deep)
{
	_cleanup_err_ struct err *e = NULL;
	uint8_t sum[DIGEST_SHA256_BYTES];
	uint64_t n;
	int fd;

	setup();
	fd = dup(top);
	for (int i = 0; i <= NAR_DEPTH_MAX; i++) {
		int next;

		CHECK(mkdirat(fd, "d", 0700) == 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)close_fd(fd);
		fd = next;
	}
	(void)close_fd(fd);
	CHECK(nar_hash(top, "d", sum, &n, &e) == -EINVAL);
	CHECK(strstr(err_message(e), "nested too deep"));
	cleanup();
}

static int stop(const void *bytes, size_t n, void *ctx, struct err **e)
{
	return err_set(e, ENOSPC, "full");
}

TEST(sink_stops)
{
	_cleanup_err_ struct err *e = NULL;

	setup();
	put("a", "x", 1, 0644);
	CHECK(nar_write(top, "a", stop, NULL, &e) == -ENOSPC);
	CHECK_STR(err_message(e), "full");
	cleanup();
}

/* However small the pieces, it is the same archive, of the length that measuring told. */
TEST(pieces)
{
	static char zeros[100000];
	_cleanup_err_ struct err *e = NULL;

	setup();
	CHECK(mkdirat(top, "t", 0755) == 0 && mkdirat(top, "t/sub", 0755) == 0 && symlinkat("x", top, "t/link") == 0);
	put("t/big", zeros, sizeof(zeros), 0644);
	put("t/sub/x", "#!", 2, 0755);
	put("t/sub/empty", "", 0, 0644);
	for (size_t size = 1; size < 100000; size = size * 3 + 4) {
		_cleanup_digest_ struct digest *d = NULL;
		_cleanup_nar_ struct nar *n = NULL;
		_cleanup_nar_ struct nar *measured = NULL;
		_cleanup_free_ char *bytes = xmalloc(size);
		uint8_t wanted[DIGEST_SHA256_BYTES];
		uint8_t sum[DIGEST_SHA256_BYTES];
		uint64_t length = 0;
		uint64_t total = 0;
		ssize_t k;
		int r;

		CHECK(digest_open(&d, NULL) == 0 && nar_open(top, "t", 0, &n, NULL) == 0);
		while ((k = nar_read(n, bytes, size, NULL)) > 0) {
			digest_add(d, bytes, (size_t)k);
			total += (uint64_t)k;
		}
		CHECK(k == 0 && nar_read(n, bytes, size, NULL) == 0);
		CHECK(digest_finish(d, sum, NULL) == 0 && nar_hash(top, "t", wanted, &length, NULL) == 0);
		CHECK(memcmp(sum, wanted, sizeof(sum)) == 0 && total == length);
		CHECK(nar_open(top, "t", NAR_MEASURE | NAR_PUBLIC, &measured, NULL) == 0);
		length = 0;
		do
			r = nar_measure(measured, size, &length, NULL);
		while (r == 0);
		CHECK(r == 1 && length == total);
	}
	CHECK(nar_open(top, "t/x", 0, NULL, &e) == -EINVAL);
	cleanup();
}

TEST(not_for_everybody)
{
	static const struct {
		const char *name;
		mode_t mode;
		mode_t back;
	} private[] = {{"t", 0750, 0755}, {"t/sub", 0754, 0755}, {"t/sub/x", 0640, 0644}};
	uint64_t size = 0;

	setup();
	CHECK(mkdirat(top, "t", 0755) == 0 && mkdirat(top, "t/sub", 0755) == 0);
	put("t/sub/x", "x", 1, 0644);
	for (size_t i = 0; i < ARRAY_SIZE(private); i++) {
		for (unsigned flags = NAR_PUBLIC; flags <= (NAR_PUBLIC | NAR_MEASURE); flags += NAR_MEASURE) {
			_cleanup_nar_ struct nar *n = NULL;
			char bytes[4096];

			CHECK(fchmodat(top, private[i].name, private[i].mode, 0) == 0);
			CHECK(nar_open(top, "t", flags, &n, NULL) == 0);
			if (flags & NAR_MEASURE)
				CHECK(nar_measure(n, 100, &size, NULL) == -EACCES);
			else
				CHECK(nar_read(n, bytes, sizeof(bytes), NULL) == -EACCES);
		}
		CHECK(fchmodat(top, private[i].name, private[i].back, 0) == 0);
	}
	cleanup();
}

TEST_MAIN()
