/* Machines that are kept in memory: keys, files (kind/vm/template.h), and what a machine is given (guest/vmgiven.h). */
#include "test.h"

#include "guest/vmgiven.h"
#include "kind/vm/template.h"
#include "kind/vm/warm.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/igloo-vmwarm-XXXXXX";
static struct vmcache cache;

/* The first test makes the folder. */
TEST(a_cache)
{
	CHECK(mkdtemp(folder));
	cache.path = folder;
	cache.dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(cache.dir >= 0);
}

static char *file(const char *name, const char *text)
{
	CHECK(file_replace(cache.dir, name, text, strlen(text), 0600, false, NULL) == 0);
	return xasprintf("%s/%s", folder, name);
}

static uint64_t key_of(const struct template_of *of)
{
	uint64_t key = 0;

	CHECK(template_key(&cache, of, &key, NULL) == 0 && key != 0);
	return key;
}

TEST(key_is_of_all_that_the_memory_depends_on)
{
	static const char one[] =
		"processor\t: 0\nmodel name\t: A\ncpu MHz\t\t: 1000\nbogomips\t: 1\n\nprocessor\t: 1\n";
	static const char faster[] =
		"processor\t: 0\nmodel name\t: A\ncpu MHz\t\t: 2000\nbogomips\t: 2\n\nmodel name\t: C\n";
	static const char other[] = "processor\t: 0\nmodel name\t: B\ncpu MHz\t\t: 1000\nbogomips\t: 1\n\n";
	_cleanup_free_ char *outside = xasprintf("%s/in/kernel", folder);
	_cleanup_free_ char *initrd = file("initrd-1", "modules");
	_cleanup_free_ char *initrd2 = file("initrd-2", "modules");
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_strv_ struct strv more = STRV_INIT;
	struct template_of of = {.qemu = "/bin/sh", .kernel = outside, .initrd = initrd, .argv = &argv, .cpuinfo = one};
	struct timespec past[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	uint64_t key;

	CHECK(mkdirat(cache.dir, "in", 0700) == 0);
	CHECK(file_replace(cache.dir, "in/kernel", "k", 1, 0600, false, NULL) == 0);
	strv_add(&argv, "-m");
	strv_add(&argv, "512M");
	strv_add(&more, "-m5");
	strv_add(&more, "12M");
	key = key_of(&of);
	CHECK(key_of(&of) == key);
	of.cpuinfo = faster;
	CHECK(key_of(&of) == key);
	of.cpuinfo = other;
	CHECK(key_of(&of) != key);
	of.cpuinfo = one;
	of.argv = &more;
	CHECK(key_of(&of) != key);
	of.argv = &argv;
	of.initrd = initrd2;
	CHECK(key_of(&of) != key);
	of.initrd = initrd;
	/* What igloo made says by its name what it is; when it was used is no part of that. */
	CHECK(utimensat(cache.dir, "initrd-1", past, 0) == 0 && key_of(&of) == key);
	CHECK(utimensat(cache.dir, "in/kernel", past, 0) == 0 && key_of(&of) != key);
	of.qemu = "/nonexistent";
	CHECK(template_key(&cache, &of, &key, NULL) == -ENOENT);
}

static void keep(uint64_t key, const char *bytes)
{
	_cleanup_close_ int fd = template_begin(&cache, NULL);
	int pipes[2];

	CHECK(fd >= 0 && pipe2(pipes, O_CLOEXEC) == 0);
	CHECK(fd_write_all(pipes[1], bytes, strlen(bytes)) == 0 && close(pipes[1]) == 0);
	CHECK(template_fill(fd, pipes[0], NULL) == 0 && close(pipes[0]) == 0);
	CHECK(!template_find(&cache, key));
	CHECK(template_end(&cache, key, fd, NULL) == 0);
}

static bool there(uint64_t key)
{
	_cleanup_free_ char *path = template_find(&cache, key);

	return path;
}

TEST(file_is_there_when_it_is_whole)
{
	_cleanup_close_ int unfinished = template_begin(&cache, NULL);
	_cleanup_free_ char *path = NULL;
	_cleanup_str_ struct str text = STR_INIT;
	struct stat st;
	int pipes[2];

	CHECK(!there(1));
	/* One whose writer was killed has no name. */
	CHECK(unfinished >= 0 && fd_write_all(unfinished, "x", 1) == 0 && !there(1));
	keep(1, "memory");
	path = template_find(&cache, 1);
	CHECK(path && stat(path, &st) == 0 && st.st_size == 4096 + 6 && (st.st_mode & 07777) == 0600);
	CHECK(file_read(cache.dir, "template-0000000000000001", 8192, &text, NULL) == 0);
	CHECK(strcmp(text.p + 4096, "memory") == 0);
	template_drop(&cache, 1, NULL);
	CHECK(!there(1));
	CHECK(pipe2(pipes, O_CLOEXEC) == 0 && close(pipes[1]) == 0);
	CHECK(template_fill(unfinished, pipes[0], NULL) == -EPIPE && close(pipes[0]) == 0);
}

static void spoil(uint64_t key, const char *name, const char *how)
{
	_cleanup_close_ int fd = -1;

	keep(key, "memory");
	fd = openat(cache.dir, name, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	if (strcmp(how, "cut") == 0)
		CHECK(ftruncate(fd, 4099) == 0);
	else if (strcmp(how, "empty") == 0)
		CHECK(ftruncate(fd, 0) == 0);
	else if (strcmp(how, "longer") == 0)
		CHECK(ftruncate(fd, 5000) == 0);
	else
		CHECK(pwrite(fd, how, strlen(how), 0) == (ssize_t)strlen(how));
	CHECK(!there(key));
	CHECK(faccessat(cache.dir, name, F_OK, 0) < 0);
}

TEST(one_that_is_not_whole_is_removed)
{
	static const char name[] = "template-0000000000000002";

	spoil(2, name, "cut");
	spoil(2, name, "empty");
	spoil(2, name, "longer");
	spoil(2, name, "garbage");
	spoil(2, name, "igloo-template 1 0000000000000003");
	CHECK(symlinkat("in/kernel", cache.dir, name) == 0 && !there(2) && unlinkat(cache.dir, name, 0) == 0);
	CHECK(mkfifoat(cache.dir, name, 0600) == 0 && !there(2));
}

TEST(there_are_few_and_those_used_last_stay)
{
	size_t n;
	uint64_t bytes;

	for (uint64_t key = 16; key < 16 + TEMPLATES_MAX; key++) {
		keep(key, "memory");
		(void)poll(NULL, 0, 5);
	}
	CHECK(there(16));
	(void)poll(NULL, 0, 5);
	keep(99, "memory");
	CHECK(there(99) && there(16) && !there(17) && there(18));
	template_count(&cache, &n, &bytes);
	CHECK(n == TEMPLATES_MAX && bytes >= 4096);
	template_drop(&cache, 99, "it was no good");
	template_drop_all(&cache);
	template_count(&cache, &n, &bytes);
	CHECK(n == 0 && bytes == 0 && !template_refused(&cache, 99));
}

TEST(refusals_last_a_day)
{
	struct timespec past[2] = {{.tv_sec = time(NULL) - 25 * 3600}, {.tv_sec = time(NULL) - 25 * 3600}};
	_cleanup_free_ char *why = NULL;

	CHECK(!template_refused(&cache, 7));
	template_drop(&cache, 7, "no\tspace\n");
	why = template_refused(&cache, 7);
	CHECK(why && strstr(why, "space") && !strchr(why, '\n'));
	CHECK(utimensat(cache.dir, "template-0000000000000007.no", past, 0) == 0 && !template_refused(&cache, 7));
	template_drop(&cache, 7, "again");
	template_drop(&cache, 7, NULL);
	CHECK(!template_refused(&cache, 7));
}

TEST(modes)
{
	enum warm_mode mode;

	CHECK(unsetenv("IGLOO_VM_START") == 0);
	CHECK(warm_parse(NULL, &mode, NULL) == 0 && mode == WARM_AUTO);
	CHECK(warm_parse("warm", &mode, NULL) == 0 && mode == WARM_MUST);
	CHECK(setenv("IGLOO_VM_START", "cold", 1) == 0);
	CHECK(warm_parse(NULL, &mode, NULL) == 0 && mode == WARM_NEVER);
	CHECK(warm_parse("auto", &mode, NULL) == 0 && mode == WARM_AUTO);
	CHECK(setenv("IGLOO_VM_START", "lukewarm", 1) == 0);
	CHECK(warm_parse(NULL, &mode, NULL) == -EINVAL);
	CHECK(setenv("IGLOO_VM_START", "", 1) == 0);
	CHECK(warm_parse(NULL, &mode, NULL) == 0 && mode == WARM_AUTO);
}

TEST(what_a_machine_is_given)
{
	_cleanup_free_ char *conf = file("conf", "hostname=igloo\n");
	_cleanup_str_ struct str one = STR_INIT;
	_cleanup_str_ struct str two = STR_INIT;
	uint8_t header[VMGIVEN_HEADER];
	char text[1024];
	int pipes[2];
	int n;

	CHECK(vmgiven_make(conf, &one) == 0 && vmgiven_make(conf, &two) == 0);
	CHECK(strcmp(strstr(one.p + VMGIVEN_HEADER, "seed="), strstr(two.p + VMGIVEN_HEADER, "seed=")) != 0);
	memcpy(header, one.p, sizeof(header));
	CHECK(vmgiven_length(header, sizeof(text)) == (int)one.len - VMGIVEN_HEADER);
	CHECK(vmgiven_length(header, 10) == -EBADMSG);
	header[0] ^= 1;
	CHECK(vmgiven_length(header, sizeof(text)) == -EBADMSG);
	CHECK(pipe2(pipes, O_CLOEXEC | O_NONBLOCK) == 0 && fd_write_all(pipes[1], one.p, one.len) == 0);
	n = vmgiven_read(pipes[0], text, sizeof(text) - 1);
	CHECK(n == (int)one.len - VMGIVEN_HEADER);
	text[n] = '\0';
	CHECK(str_starts(text, "time=") && str_ends(text, "\nhostname=igloo\n"));
	CHECK(vmgiven_make("/nonexistent", &two) == -ENOENT);
	CHECK(vmgiven_seed("") == -EINVAL && vmgiven_seed("zz") == -EINVAL);
}

TEST(cleaning_up)
{
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(tmp >= 0 && file_remove_tree(tmp, folder + strlen("/tmp/"), NULL) == 0 && close(tmp) == 0);
}

TEST_MAIN()
