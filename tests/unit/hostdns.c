/* The host's name servers in a file that is written, replaced, and led to by a link. */
#include "box/hostdns.h"

#include "test.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/igloo-hostdns-XXXXXX";
static char path[64];
static char other[64];

static void write_to(const char *file, const char *text)
{
	FILE *f = fopen(file, "we");

	CHECK(f && fputs(text, f) >= 0);
	if (f)
		(void)fclose(f);
}

/* The new servers, "" when nothing is said within a moment. */
static const char *told(struct hostdns *h)
{
	static struct str s;
	struct pollfd p = {.fd = hostdns_fd(h), .events = POLLIN};

	str_clear(&s);
	while (poll(&p, 1, 100) > 0)
		if (hostdns_changed(h, &s))
			break;
	return str_text(&s);
}

static struct hostdns *begin(void)
{
	struct hostdns *h = NULL;

	(void)unlink(path);
	write_to(path, "# a comment\nnameserver 10.0.0.1\n");
	CHECK(hostdns_new(path, &h, NULL) == 0);
	CHECK_STR(told(h), "");
	return h;
}

TEST(a_file_that_is_written)
{
	struct hostdns *h = begin();

	write_to(path,
		 "search x\nnameserver 10.0.0.2\nnameserver\t[::1]\nnameserver fe80::1%eth0\n  nameserver 1.1.1.1\n"
		 "nameserver 10.0.0.3 # b\nnameservers 9.9.9.9\nnameserver x\n");
	CHECK_STR(told(h), "10.0.0.2,::1,10.0.0.3");
	/* The same, or nothing: no news. */
	write_to(path, "nameserver 10.0.0.2\nnameserver ::1\nnameserver 10.0.0.3\n");
	CHECK_STR(told(h), "");
	write_to(path, "");
	CHECK_STR(told(h), "");
	write_to(path, "nameserver 10.0.0.4\n");
	CHECK_STR(told(h), "10.0.0.4");
	hostdns_free(h);
}

TEST(a_file_that_is_replaced)
{
	struct hostdns *h = begin();

	for (int i = 5; i < 8; i++) {
		char text[64];
		char want[32];

		(void)snprintf(want, sizeof(want), "10.0.0.%d", i);
		(void)snprintf(text, sizeof(text), "nameserver %s\n", want);
		write_to(other, text);
		CHECK(rename(other, path) == 0);
		CHECK_STR(told(h), want);
	}
	CHECK(unlink(path) == 0);
	CHECK_STR(told(h), "");
	write_to(path, "nameserver 10.0.0.9\n");
	CHECK_STR(told(h), "10.0.0.9");
	hostdns_free(h);
}

TEST(a_link)
{
	char folder[64];
	char target[80];
	char fresh[80];
	struct hostdns *h = NULL;

	(void)snprintf(folder, sizeof(folder), "%s/run", dir);
	(void)snprintf(target, sizeof(target), "%s/stub", folder);
	(void)snprintf(fresh, sizeof(fresh), "%s/new", folder);
	(void)unlink(path);
	CHECK(mkdir(folder, 0700) == 0);
	write_to(target, "nameserver 10.1.0.1\n");
	CHECK(symlink("run/stub", path) == 0 && hostdns_new(path, &h, NULL) == 0);
	write_to(fresh, "nameserver 10.1.0.2\n");
	CHECK(rename(fresh, target) == 0);
	CHECK_STR(told(h), "10.1.0.2");
	/* To a file, and back. */
	write_to(other, "nameserver 10.1.0.3\n");
	CHECK(rename(other, path) == 0);
	CHECK_STR(told(h), "10.1.0.3");
	CHECK(symlink("run/stub", other) == 0 && rename(other, path) == 0);
	CHECK_STR(told(h), "10.1.0.2");
	write_to(target, "nameserver 10.1.0.4\n");
	CHECK_STR(told(h), "10.1.0.4");
	hostdns_free(h);
	(void)unlink(target);
	(void)rmdir(folder);
}

TEST(no_file)
{
	struct hostdns *h = NULL;

	(void)unlink(path);
	CHECK(hostdns_new(path, &h, NULL) == 0);
	write_to(path, "nameserver 10.2.0.1\n");
	CHECK_STR(told(h), "10.2.0.1");
	hostdns_free(h);
	hostdns_free(NULL);
	CHECK(hostdns_fd(NULL) == -1);
}

__attribute__((constructor)) static void make_folder(void)
{
	if (!mkdtemp(dir))
		_exit(1);
	(void)snprintf(path, sizeof(path), "%s/resolv.conf", dir);
	(void)snprintf(other, sizeof(other), "%s/other", dir);
}

__attribute__((destructor)) static void remove_folder(void)
{
	(void)unlink(path);
	(void)unlink(other);
	(void)rmdir(dir);
}

TEST_MAIN()
