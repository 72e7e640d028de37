#include "test.h"

#include "nixroot.h"

#include "nix/hoststore.h"
#include "nix/nar.h"
#include "nix/storeserve.h"
#include "sys/fd.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

/* A store of the test's own, real Nix, and a client that is no Nix. */

static struct hoststore *hs;
static int listener = -1;
static struct sockaddr_in at;
static pid_t server;
static int alive = -1;
static struct str leaf = STR_INIT;
static struct str tree = STR_INIT;

#define NONE "00000000000000000000000000000000"

static void pause_ms(unsigned ms)
{
	const struct timespec t = {.tv_nsec = (long)ms * 1000000};

	(void)nanosleep(&t, NULL);
}

static bool start(void)
{
	_cleanup_err_ struct err *e = NULL;

	if (storeserve_start(hs, listener, &server, &alive, &e) == 0)
		return true;
	printf("# %s\n", err_message(e));
	return false;
}

static void stop(void)
{
	char byte;

	CHECK(kill(server, SIGKILL) == 0 && waitpid(server, NULL, 0) == server);
	CHECK(read(alive, &byte, 1) == 0);
	alive = close_fd(alive);
}

static int dial(void)
{
	const struct timeval patience = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
	      connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	return fd;
}

/* All that comes for these bytes, until the server closes. */
static void ask_raw(const char *bytes, size_t n, struct str *ret)
{
	_cleanup_close_ int fd = dial();

	str_clear(ret);
	CHECK(send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n);
	(void)fd_read_all(fd, 64 << 20, ret, NULL);
}

static void ask(const char *method, const char *target, struct str *ret)
{
	_cleanup_free_ char *text = xasprintf("%s /1/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method,
					      target);

	ask_raw(text, strlen(text), ret);
}

static bool says(const struct str *answer, const char *status)
{
	return str_starts(str_text(answer), "HTTP/1.1 ") && str_starts(answer->p + strlen("HTTP/1.1 "), status);
}

static const char *body(const struct str *answer)
{
	const char *p = strstr(str_text(answer), "\r\n\r\n");

	return p ? p + 4 : "";
}

static char *hash_of(const struct str *path)
{
	return xstrndup(path->p + strlen("/nix/store/"), 32);
}

static char *nar_of(const struct str *path)
{
	_cleanup_free_ char *hash = hash_of(path);
	_cleanup_free_ char *target = xasprintf("%s.narinfo", hash);
	_cleanup_str_ struct str answer = STR_INIT;
	const char *url;

	ask("GET", target, &answer);
	CHECK(says(&answer, "200"));
	url = strstr(body(&answer), "\nURL: ");
	CHECK(url);
	return xstrndup(url + 6, strcspn(url + 6, "\n"));
}

TEST(begin)
{
	socklen_t n = sizeof(at);

	CHECK(shell("mkdir -p /nix/store; echo leaf >/nix/leaf; nix-store --add /nix/leaf", &leaf) == 0);
	CHECK(shell("mkdir -p /nix/t/sub/empty; seq 300000 >/nix/t/big; ln -s big /nix/t/link; echo x >/nix/t/sub/x; "
		    "chmod +x /nix/t/sub/x; nix-store --add /nix/t",
		    &tree) == 0);
	CHECK(hoststore_open(NULL, &hs, NULL) == 0 && hs && hoststore_maybe());
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CHECK(bind(listener, (struct sockaddr *)&at, n) == 0 && listen(listener, 1024) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&at, &n) == 0);
	CHECK(start());
}

TEST(info)
{
	_cleanup_str_ struct str answer = STR_INIT;

	ask("GET", "nix-cache-info", &answer);
	CHECK(says(&answer, "200") && strstr(body(&answer), "StoreDir: /nix/store\n"));
	ask("HEAD", "nix-cache-info", &answer);
	CHECK(says(&answer, "200") && !*body(&answer));
}

/* Exactly what Nix says of the path, and what it dumps. */
static void check_path(const struct str *path)
{
	_cleanup_free_ char *hash = hash_of(path);
	_cleanup_free_ char *target = xasprintf("%s.narinfo", hash);
	_cleanup_free_ char *nar = NULL;
	_cleanup_free_ char *script = NULL;
	_cleanup_str_ struct str answer = STR_INIT;
	_cleanup_str_ struct str theirs = STR_INIT;
	_cleanup_close_ int fd = -1;

	ask("GET", target, &answer);
	CHECK(says(&answer, "200"));
	script = xasprintf("printf 'NarHash: %%s\\nNarSize: %%s\\n' \"$(nix-store -q --hash %s)\" "
			   "\"$(nix-store -q --size %s)\"",
			   path->p, path->p);
	CHECK(shell(script, &theirs) == 0);
	CHECK(strstr(body(&answer), theirs.p) && strstr(body(&answer), path->p));
	nar = nar_of(path);
	free(script);
	script = xasprintf("nix-store --dump %s >/nix/dump", path->p);
	CHECK(shell(script, NULL) == 0);
	str_clear(&theirs);
	fd = open("/nix/dump", O_RDONLY | O_CLOEXEC);
	CHECK(fd_read_all(fd, 64 << 20, &theirs, NULL) == 0);
	ask("GET", nar, &answer);
	CHECK(says(&answer, "200"));
	CHECK((size_t)(answer.p + answer.len - body(&answer)) == theirs.len);
	CHECK(memcmp(body(&answer), theirs.p, theirs.len) == 0);
	ask("HEAD", nar, &answer);
	CHECK(says(&answer, "200") && !*body(&answer));
}

TEST(paths)
{
	check_path(&leaf);
	check_path(&tree);
}

TEST(references)
{
	_cleanup_str_ struct str path = STR_INIT;
	_cleanup_str_ struct str answer = STR_INIT;
	_cleanup_free_ char *target = NULL;
	_cleanup_free_ char *hash = NULL;

	CHECK(shell("nix-instantiate --read-write-mode --eval --strict --expr 'builtins.toFile \"top\" "
		    "\"${builtins.toFile \"leaf2\" \"x\"}\"' | tr -d '\"'",
		    &path) == 0);
	hash = hash_of(&path);
	target = xasprintf("%s.narinfo", hash);
	/* It came after the folder was read. */
	pause_ms(300);
	ask("GET", target, &answer);
	CHECK(says(&answer, "200") && strstr(body(&answer), "-leaf2\nCA: text:sha256:"));
	check_path(&path);
}

TEST(forged)
{
	static const char *const bad[] = {
		"GET\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"GET /1/nix-cache-info HTTP/1.1\nHost: x\n\r\n\r\n",
		"GET /1/nix-cache-info HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
		"GET /1/nix-cache-info HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET /1/nix-cache-info HTTP/1.1\r\n folded: x\r\n\r\n",
		"GET http://x/1/nix-cache-info HTTP/1.1\r\n\r\n",
		"\026\003\001\002\r\n\r\n",
	};
	static const char *const missing[] = {
		"../../etc/passwd",
		NONE ".narinfo",
		NONE,
		NONE ".ls",
		"nar/" NONE "-0000000000000000000000000000000000000000000000000000.nar",
		"nar/../" NONE ".narinfo",
		"store",
		"",
		"%2e%2e/nix-cache-info",
		"leaf.narinfo",
	};
	_cleanup_str_ struct str answer = STR_INIT;
	static char many[20000];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ask_raw(bad[i], strlen(bad[i]), &answer);
		CHECK(says(&answer, "400"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(missing); i++) {
		ask("GET", missing[i], &answer);
		CHECK(says(&answer, "404") && !*body(&answer));
	}
	ask("POST", "nix-cache-info", &answer);
	CHECK(says(&answer, "405"));
	memset(many, 'a', sizeof(many));
	many[0] = '/';
	ask_raw(many, sizeof(many), &answer);
	CHECK(says(&answer, "431"));
	/* A path's own hash, but not that of its NAR. */
	{
		_cleanup_free_ char *hash = hash_of(&leaf);
		_cleanup_free_ char *target = xasprintf(
			"nar/%s-0000000000000000000000000000000000000000000000000000.nar", hash);

		ask("GET", target, &answer);
		CHECK(says(&answer, "404"));
	}
}

TEST(pipelined)
{
	_cleanup_free_ char *hash = hash_of(&leaf);
	_cleanup_free_ char *nar = nar_of(&tree);
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_str_ struct str answer = STR_INIT;
	unsigned n = 0;

	for (int i = 0; i < 20; i++)
		str_addf(&text, "GET /1/%s HTTP/1.1\r\n\r\nGET /1/%s.narinfo HTTP/1.1\r\n\r\n",
			 i == 7 ? nar : "nix-cache-info", hash);
	str_adds(&text, "GET /1/nix-cache-info HTTP/1.0\r\n\r\n");
	ask_raw(text.p, text.len, &answer);
	for (size_t i = 0; i + 15 < answer.len; i++)
		n += memcmp(answer.p + i, "HTTP/1.1 200 OK", 15) == 0;
	CHECK(n == 41);
}

/* Once it was in the store, and still is in part. */
TEST(not_for_everybody)
{
	_cleanup_free_ char *nar = nar_of(&tree);
	_cleanup_free_ char *hash = hash_of(&tree);
	_cleanup_free_ char *target = xasprintf("%s.narinfo", hash);
	_cleanup_free_ char *deep = xasprintf("%s/sub/x", tree.p);
	_cleanup_str_ struct str answer = STR_INIT;

	CHECK(chmod(deep, 0400) == 0);
	ask("GET", nar, &answer);
	CHECK(says(&answer, "404"));
	CHECK(chmod(deep, 0555) == 0 && chmod(tree.p, 0550) == 0);
	ask("GET", nar, &answer);
	CHECK(says(&answer, "404"));
	ask("GET", target, &answer);
	CHECK(says(&answer, "404"));
	CHECK(chmod(tree.p, 0555) == 0);
	check_path(&tree);
}

TEST(changed)
{
	_cleanup_free_ char *nar = nar_of(&tree);
	_cleanup_free_ char *big = xasprintf("%s/big", tree.p);
	_cleanup_free_ char *longer = xasprintf("chmod u+w %s; printf more >>%s", big, big);
	_cleanup_free_ char *other = xasprintf(
		"seq 300000 >%s; printf X | dd of=%s conv=notrunc 2>/dev/null; chmod 0444 %s", big, big, big);
	_cleanup_str_ struct str answer = STR_INIT;

	CHECK(shell(longer, NULL) == 0);
	ask("GET", nar, &answer);
	CHECK(says(&answer, "404"));
	CHECK(shell(other, NULL) == 0);
	ask("GET", nar, &answer);
	/* Cut short, whatever it says. */
	CHECK(says(&answer, "200") && answer.len < 1988895 && answer.len > 1500000);
}

TEST(gone_between)
{
	_cleanup_free_ char *nar = nar_of(&leaf);
	_cleanup_free_ char *script = xasprintf("nix-store --delete %s", leaf.p);
	_cleanup_str_ struct str answer = STR_INIT;

	CHECK(shell(script, NULL) == 0);
	ask("GET", nar, &answer);
	CHECK(says(&answer, "404"));
	CHECK(shell("nix-store --add /nix/leaf", NULL) == 0);
	pause_ms(300);
	check_path(&leaf);
	/* There, but not valid. */
	CHECK(close(open("/nix/store/11111111111111111111111111111111-x", O_CREAT | O_WRONLY, 0444)) == 0);
	pause_ms(300);
	ask("GET", "11111111111111111111111111111111.narinfo", &answer);
	CHECK(says(&answer, "404"));
}

TEST(many_connections)
{
	enum { N = 200 };
	static const char request[] = "GET /1/nix-cache-info HTTP/1.1\r\n\r\n";
	int fds[N];
	char bytes[4096];

	for (int i = 0; i < N; i++) {
		fds[i] = dial();
		if (i % 2)
			CHECK(send(fds[i], request, strlen(request), 0) > 0);
	}
	/* Those that ask nothing make room for those that do. */
	for (int i = 1; i < N; i += 2)
		CHECK(recv(fds[i], bytes, sizeof(bytes), 0) > 0 && str_starts(bytes, "HTTP/1.1 200"));
	for (int i = 0; i < N; i++)
		(void)close(fds[i]);
}

TEST(killed_and_again)
{
	_cleanup_str_ struct str status = STR_INIT;
	_cleanup_free_ char *script = xasprintf("grep -E 'Uid|CapEff|NoNewPrivs|Seccomp:' /proc/%d/status",
						(int)server);

	CHECK(shell(script, &status) == 0);
	CHECK(strstr(status.p, "CapEff:\t0000000000000000") && strstr(status.p, "NoNewPrivs:\t1") &&
	      strstr(status.p, "Seccomp:\t2"));
	CHECK(geteuid() != 0 || strstr(status.p, "Uid:\t65534\t65534\t65534"));
	stop();
	CHECK(start());
	check_path(&leaf);
	stop();
	hoststore_free(hs);
	(void)close(listener);
}

TEST_MAIN()
