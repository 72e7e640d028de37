/* mkfs.erofs on store paths of a slot: what is in the image, that it is the same from the same, and what does not fit.
 */
#include "test.h"

#include "fmt/erofs.h"
#include "kind/vm/storebuild.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "00000000000000000000000000000001-folder"
#define FILE_ "00000000000000000000000000000002-file"
#define LINK "00000000000000000000000000000003-link"
#define HOSTS "00000000000000000000000000000004-hosts"
#define OTHER "00000000000000000000000000000005-other"
#define LARGE "00000000000000000000000000000006-large"
#define STORE "/nix/store/"

static char place[] = "/var/tmp/igloo-storebuild-XXXXXX";
static struct slot *slot;
static struct hostpaths set;
static char *program;

static void put(const char *path, const char *text)
{
	CHECK(file_replace(slot->dir, path, text, strlen(text), 0444, false, NULL) == 0);
}

static void make_folder(const char *path)
{
	CHECK(close(file_make_dirs(slot->dir, path, 0755, NULL)) == 0);
}

/* A slot with paths of its own and one of the host's. False where nothing can be tested. */
static bool prepare(void)
{
	static bool made;
	_cleanup_free_ char *source = NULL;

	if (made)
		return program;
	made = true;
	CHECK(mkdtemp(place) != NULL);
	CHECK(setenv("XDG_STATE_HOME", place, 1) == 0);
	CHECK(slot_open("/some/where", NULL, &slot, NULL) == 0);
	make_folder("nix/store/" FOLDER "/bin");
	make_folder("nix/store/" OTHER);
	make_folder("nix/store/" LARGE);
	make_folder("nix/var");
	make_folder("home");
	put("nix/store/" FOLDER "/bin/program", "text");
	put("nix/store/" FILE_, "of the slot");
	put("home/secret", "secret");
	CHECK(symlinkat(FOLDER "/bin/program", slot->dir, "nix/store/" LINK) == 0);
	source = xasprintf("%s/hosts", place);
	CHECK(mkdir(source, 0755) == 0);
	hostpaths_add(&set, STORE HOSTS, source);
	if (storebuild_find(&program, NULL) < 0)
		test_lacks = "mkfs.erofs";
	return program;
}

static int build(const char *const *paths, const char *name, struct err **e)
{
	_cleanup_strv_ struct strv list = STRV_INIT;
	_cleanup_free_ char *to = xasprintf("%s/%s", place, name);
	struct storebuild b = {.slot = slot, .set = &set, .paths = &list, .program = program};

	for (; *paths; paths++)
		strv_add(&list, *paths);
	CHECK(close(open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) == 0);
	return storebuild_make(&b, to, e);
}

static void read_image(const char *name, struct str *to)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", place, name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0 && fd_read_all(fd, 1 << 20, to, NULL) == 0);
}

static bool has(const struct str *image, const char *text)
{
	return memmem(image->p, image->len, text, strlen(text)) != NULL;
}

TEST(same_from_the_same)
{
	static const char *const paths[] = {STORE FOLDER, STORE FILE_, STORE LINK, STORE HOSTS, NULL};
	_cleanup_str_ struct str a = STR_INIT;
	_cleanup_str_ struct str b = STR_INIT;
	_cleanup_err_ struct err *e = NULL;
	const char *why = "";

	if (!prepare())
		return;
	if (build(paths, "a", &e) < 0) {
		test_lacks = "user namespaces";
		return;
	}
	CHECK(build(paths, "b", NULL) == 0);
	read_image("a", &a);
	read_image("b", &b);
	CHECK(a.len == b.len && memcmp(a.p, b.p, a.len) == 0);
	CHECK(a.len >= EROFS_HEAD_BYTES && erofs_check((const uint8_t *)a.p, a.len, &why) == 0);
	/* Small files and folders lie in the image as they are. */
	CHECK(has(&a, FOLDER) && has(&a, FILE_) && has(&a, LINK) && has(&a, HOSTS) && has(&a, "of the slot"));
	CHECK(has(&a, FOLDER "/bin/program") && !has(&a, OTHER) && !has(&a, "secret"));
}

TEST(what_is_not_there)
{
	static const char *const gone[] = {STORE "00000000000000000000000000000009-gone", NULL};
	static const char *const outside[] = {"/etc/passwd", NULL};
	static const char *const below[] = {STORE FOLDER "/../../../home", NULL};
	_cleanup_err_ struct err *e = NULL;

	if (!prepare())
		return;
	CHECK(build(gone, "c", &e) == -ENOENT && strstr(err_message(e), "-gone"));
	CHECK(build(outside, "c", NULL) == -EINVAL);
	CHECK(build(below, "c", NULL) == -EINVAL);
}

/* A file of a box with nothing in it, of 8 TiB: the disk is not filled to find that out. */
TEST(too_large)
{
	static const char *const paths[] = {STORE LARGE, NULL};
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *to = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (!prepare())
		return;
	fd = openat(slot->dir, "nix/store/" LARGE "/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	CHECK(fd >= 0);
	if (ftruncate(fd, (off_t)1 << 43) < 0) {
		test_lacks = "a file system with files of 8 TiB";
		return;
	}
	to = xasprintf("%s/d", place);
	CHECK(build(paths, "d", &e) == -ENOSPC && strstr(err_message(e), "do not fit") && stat(to, &st) == 0);
	CHECK(st.st_size == 0);
}

TEST(cleaning_up)
{
	int parent = open("/var/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	free(program);
	hostpaths_release(&set);
	slot_free(slot);
	CHECK(parent >= 0 && file_remove_tree(parent, strrchr(place, '/') + 1, NULL) == 0 && close(parent) == 0);
}

TEST_MAIN()
