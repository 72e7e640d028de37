/* Trees of files as streams: what is sent is what is made; and what a hostile box could send. */
#include "box/protectname.h"
#include "wire/copypath.h"
#include "wire/copyreceive.h"
#include "wire/copysend.h"

#include "sys/fd.h"
#include "sys/file.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static struct copyrec rec;
static struct copydec dec;
static struct str stream;
static struct str said; /* what the callbacks were told */
static char place[64];
static int at = -1;

static int collect(void *user, const void *bytes, size_t n)
{
	str_add(&stream, bytes, n);
	return 0;
}

static void begin(void)
{
	memset(&rec, 0, sizeof(rec));
	rec.write = collect;
	str_release(&stream);
	str_release(&said);
	if (at >= 0)
		(void)close(at);
	if (*place)
		(void)file_remove_tree(AT_FDCWD, place + 1, NULL);
	(void)snprintf(place, sizeof(place), "/tmp/igloo-copy-XXXXXX");
	CHECK(chdir("/") == 0);
	CHECK(mkdtemp(place));
	at = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(at >= 0);
}

static void on_link(void *user, const char *path, const char *target)
{
	str_addf(&said, "link %s->%s;", path, target);
}

static void on_skip(void *user, int errnum, enum copy_why why, const char *path)
{
	str_addf(&said, "skip %s %d %d;", path, errnum, (int)why);
}

static void on_changed(void *user, const char *path)
{
	str_addf(&said, "changed %s;", path);
}

static int refuse(void *user, const char *path, bool folder)
{
	if (!strstr(path, "forbidden"))
		return 0;
	str_addf(&said, "refused %s%s;", path, folder ? "/" : "");
	return -EPERM;
}

static const struct copyreceive_ops ops = {refuse, on_link, on_changed, on_skip};

/* Feeds the stream in pieces. */
static int receive_into(const char *name, enum copy_links links, size_t piece, struct copyreceive *ret)
{
	static struct copy_event e;
	size_t fed = 0;
	int r = 0;

	memset(&dec, 0, sizeof(dec));
	*ret = (struct copyreceive){
		.ops = &ops, .links = links, .max_bytes = 1 << 20, .max_entries = 1000, .parent = at, .name = name};
	while (r == 0 && !ret->ended) {
		size_t room;
		uint8_t *to;

		r = copydec_next(&dec, &e);
		if (r > 0) {
			r = copyreceive_event(ret, &e);
			continue;
		}
		if (r < 0 || fed == stream.len)
			return r < 0 ? r : -ENODATA;
		to = copydec_room(&dec, &room);
		room = room < piece ? room : piece;
		room = room < stream.len - fed ? room : stream.len - fed;
		memcpy(to, stream.p + fed, room);
		copydec_grew(&dec, room);
		fed += room;
	}
	return r;
}

static int receive(const char *name, enum copy_links links, size_t piece)
{
	struct copyreceive c;
	int r = receive_into(name, links, piece, &c);

	copyreceive_release(&c);
	return r;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	int fd = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0 && fchmod(fd, mode) == 0);
	(void)close(fd);
}

static const char *content(const char *name)
{
	static struct str s;

	str_clear(&s);
	return file_read(at, name, 1 << 20, &s, NULL) == 0 ? str_text(&s) : NULL;
}

static struct stat look(const char *name)
{
	struct stat st = {.st_mode = 0};

	(void)fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW);
	return st;
}

static int send_it(const char *name, const char *as)
{
	struct copysend s = {.to = &rec};
	int r = copysend_tree(&s, at, name, as);

	copysend_release(&s);
	return r == 0 ? copyrec_total(&rec, &rec.totals) : r;
}

static void make_tree(void)
{
	const struct timespec times[2] = {{.tv_sec = 5, .tv_nsec = 7}, {.tv_sec = 1000000000, .tv_nsec = 123456789}};

	CHECK(mkdirat(at, "t", 0700) == 0 && mkdirat(at, "t/sub", 0700) == 0 && mkdirat(at, "t/empty", 0711) == 0);
	write_file("t/a", "content of a", 0640);
	write_file("t/sub/new\nline \377\x1b", "odd", 0755);
	write_file("t/sub/set", "set", 06777);
	CHECK(symlinkat("a", at, "t/link") == 0 && symlinkat("../a", at, "t/sub/up") == 0);
	CHECK(mkfifoat(at, "t/pipe", 0600) == 0);
	CHECK(utimensat(at, "t/a", times, 0) == 0 && utimensat(at, "t/sub", times, 0) == 0 &&
	      fchmodat(at, "t/sub", 0750, 0) == 0);
}

TEST(there_and_back)
{
	for (size_t piece = 1; piece < 100000; piece = piece * 3 + 1) {
		struct stat st;

		begin();
		make_tree();
		CHECK(send_it("t", "t") == 0);
		CHECK(receive("new", COPY_LINKS_INSIDE, piece) == 0);
		CHECK_STR(str_text(&said), "skip pipe 0 2;");
		CHECK_STR(content("new/a"), "content of a");
		CHECK_STR(content("new/sub/new\nline \377\x1b"), "odd");
		st = look("new/a");
		CHECK((st.st_mode & 07777) == 0640 && st.st_mtim.tv_sec == 1000000000 &&
		      st.st_mtim.tv_nsec == 123456789);
		st = look("new/sub");
		CHECK((st.st_mode & 07777) == 0750 && st.st_mtim.tv_sec == 1000000000);
		CHECK((look("new/sub/set").st_mode & 07777) == 0777);
		CHECK((look("new/empty").st_mode & 07777) == 0711);
		CHECK(S_ISLNK(look("new/link").st_mode) && S_ISLNK(look("new/sub/up").st_mode));
	}
}

TEST(destinations)
{
	begin();
	make_tree();
	CHECK(mkdirat(at, "there", 0700) == 0);
	write_file("file", "old", 0600);
	CHECK(send_it("t", "t") == 0);
	/* Into a folder that is there, by its own name. */
	CHECK(receive("there", COPY_LINKS_ALL, 4096) == 0);
	CHECK_STR(content("there/t/a"), "content of a");
	CHECK(receive("file", COPY_LINKS_ALL, 4096) == -ENOTDIR);
	CHECK_STR(content("file"), "old");
	/* What is in it. */
	begin();
	make_tree();
	CHECK(mkdirat(at, "there", 0701) == 0);
	CHECK(send_it("t", "") == 0);
	CHECK(receive("there", COPY_LINKS_ALL, 4096) == 0);
	CHECK_STR(content("there/a"), "content of a");
	CHECK((look("there").st_mode & 07777) == 0701);
	CHECK(receive("fresh", COPY_LINKS_ALL, 4096) == 0);
	CHECK_STR(content("fresh/sub/set"), "set");
	/* A file. */
	begin();
	make_tree();
	write_file("file", "old", 0600);
	CHECK(symlinkat("file", at, "alink") == 0);
	CHECK(send_it("t/a", "a") == 0);
	CHECK(receive("file", COPY_LINKS_ALL, 4096) == 0 && receive("t/sub", COPY_LINKS_ALL, 4096) == 0);
	CHECK_STR(content("file"), "content of a");
	CHECK_STR(content("t/sub/a"), "content of a");
	write_file("file", "old", 0600);
	/* A link there is replaced, what it leads to stays. */
	CHECK(receive("alink", COPY_LINKS_ALL, 4096) == 0 && S_ISREG(look("alink").st_mode));
	CHECK_STR(content("file"), "old");
}

TEST(holes)
{
	struct stat st;
	int fd;

	begin();
	fd = openat(at, "big", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(ftruncate(fd, (off_t)5 << 30) == 0 && pwrite(fd, "x", 1, (off_t)3 << 30) == 1);
	(void)close(fd);
	CHECK(send_it("big", "big") == 0);
	CHECK(stream.len < (1 << 20));
	CHECK(receive("copy", COPY_LINKS_ALL, 4096) == 0);
	st = look("copy");
	CHECK(st.st_size == (off_t)5 << 30 && st.st_blocks < 4096);
	CHECK(content("big") == NULL);
}

/* --- what a box could send ---------------------------------------------------------------------------------------- */

static const struct copy_meta plain = {.mode = 06755, .s = 1};

static void a_file(const char *name, const char *text)
{
	size_t room;

	(void)copyrec_file(&rec, name, &plain, strlen(text));
	memcpy(copyrec_room(&rec, &room), text, strlen(text));
	if (*text)
		(void)copyrec_data(&rec, strlen(text));
	(void)copyrec_file_end(&rec, false);
}

static int finish(const char *name, enum copy_links links)
{
	(void)copyrec_total(&rec, &rec.totals);
	return receive(name, links, 77);
}

TEST(names)
{
	static const char *const bad[] = {"..", ".", "a/b", "/abs", "../x", "a/", ""};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		begin();
		(void)copyrec_dir(&rec, "d", &plain, false);
		a_file(bad[i], "x");
		(void)copyrec_up(&rec);
		CHECK(finish("new", COPY_LINKS_ALL) == -EPROTO);
	}
	begin();
	a_file("../x", "x");
	CHECK(finish("new", COPY_LINKS_ALL) == -EPROTO);
	begin();
	(void)copyrec_dir(&rec, "d", &plain, false);
	(void)copyrec_dir(&rec, "..", &plain, false);
	(void)copyrec_up(&rec);
	(void)copyrec_up(&rec);
	CHECK(finish("new", COPY_LINKS_ALL) == -EPROTO);
}

/* A link first, then something through it. */
TEST(through_a_link)
{
	begin();
	CHECK(mkdirat(at, "outside", 0700) == 0);
	(void)copyrec_dir(&rec, "d", &plain, false);
	(void)copyrec_link(&rec, "l", &plain, "../outside");
	(void)copyrec_dir(&rec, "l", &plain, false);
	a_file("x", "x");
	(void)copyrec_up(&rec);
	(void)copyrec_up(&rec);
	CHECK(finish("new", COPY_LINKS_ALL) == -ENOTDIR);
	CHECK(!look("outside/x").st_mode);
	/* A file over the link replaces it. */
	begin();
	write_file("outside", "mine", 0600);
	(void)copyrec_dir(&rec, "d", &plain, false);
	(void)copyrec_link(&rec, "l", &plain, "../outside");
	a_file("l", "x");
	(void)copyrec_up(&rec);
	CHECK(finish("new", COPY_LINKS_ALL) == 0);
	CHECK_STR(content("outside"), "mine");
	CHECK_STR(content("new/l"), "x");
	/* One that stood at the destination. */
	begin();
	CHECK(mkdirat(at, "outside", 0700) == 0 && mkdirat(at, "new", 0700) == 0 &&
	      symlinkat("../outside", at, "new/d") == 0);
	(void)copyrec_dir(&rec, "", &plain, false);
	(void)copyrec_dir(&rec, "d", &plain, false);
	a_file("x", "x");
	(void)copyrec_up(&rec);
	(void)copyrec_up(&rec);
	CHECK(finish("new", COPY_LINKS_ALL) == -ENOTDIR);
	CHECK(!look("outside/x").st_mode);
}

TEST(links_inside)
{
	static const struct {
		const char *target;
		bool in_top, in_sub; /* kept in the top folder, in one below */
	} t[] = {
		{"a", true, true},
		{"./a/b", true, true},
		{"/etc/passwd", false, false},
		{"..", false, true},
		{"../a", false, true},
		{"../..", false, false},
		{"../../a", false, false},
		{"a/../b", false, false},
		{"./../a", false, true},
		{"a/..", false, false},
		{".", true, true},
		{"..a", true, true},
		{"a/..b/c", true, true},
		{"//etc", false, false},
		{"../a/../..", false, false},
		{"../../../../etc", false, false},
		{"..//a", false, true},
		{".//..", false, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		begin();
		(void)copyrec_dir(&rec, "d", &plain, false);
		(void)copyrec_link(&rec, "l", &plain, t[i].target);
		(void)copyrec_dir(&rec, "s", &plain, false);
		(void)copyrec_link(&rec, "l", &plain, t[i].target);
		(void)copyrec_up(&rec);
		(void)copyrec_up(&rec);
		CHECK(finish("new", COPY_LINKS_INSIDE) == 0);
		CHECK(S_ISLNK(look("new/l").st_mode) == t[i].in_top);
		CHECK(S_ISLNK(look("new/s/l").st_mode) == t[i].in_sub);
		CHECK(receive("none", COPY_LINKS_NONE, 4096) == 0 && !look("none/l").st_mode);
		CHECK(receive("all", COPY_LINKS_ALL, 4096) == 0 && look("all/l").st_mode);
		/* Into a folder that is there: it is not a folder of the tree. */
		CHECK(mkdirat(at, "there", 0700) == 0 && receive("there", COPY_LINKS_INSIDE, 4096) == 0);
		CHECK(S_ISLNK(look("there/d/l").st_mode) == t[i].in_top);
	}
	/* By itself there is nothing that it could stay inside of. */
	begin();
	(void)copyrec_link(&rec, "l", &plain, "a");
	CHECK(finish("new", COPY_LINKS_INSIDE) == 0 && !look("new").st_mode);
	CHECK_STR(str_text(&said), "link new->a;");
}

TEST(modes)
{
	begin();
	(void)copyrec_dir(&rec, "d", &plain, false);
	a_file("x", "x");
	(void)copyrec_up(&rec);
	CHECK(finish("new", COPY_LINKS_ALL) == 0);
	CHECK((look("new/x").st_mode & 07777) == 0755 && (look("new").st_mode & 07777) == 0755);
}

TEST(refused)
{
	begin();
	(void)copyrec_dir(&rec, "d", &plain, false);
	a_file("forbidden", "x");
	(void)copyrec_dir(&rec, "forbidden-too", &plain, false);
	(void)copyrec_dir(&rec, "inner", &plain, false);
	a_file("y", "y");
	(void)copyrec_link(&rec, "l", &plain, "y");
	(void)copyrec_up(&rec);
	(void)copyrec_up(&rec);
	a_file("fine", "z");
	(void)copyrec_up(&rec);
	CHECK(finish("new", COPY_LINKS_ALL) == 0);
	CHECK_STR(str_text(&said), "refused new/forbidden;refused new/forbidden-too/;");
	CHECK(!look("new/forbidden").st_mode && !look("new/forbidden-too").st_mode);
	CHECK_STR(content("new/fine"), "z");
}

/* A stream that ends early leaves no file, and a new one is not half there. */
TEST(cut)
{
	size_t whole;

	begin();
	(void)copyrec_dir(&rec, "d", &plain, false);
	a_file("first", "1");
	a_file("second", "22222222222222");
	(void)copyrec_up(&rec);
	(void)copyrec_total(&rec, &rec.totals);
	whole = stream.len;
	for (stream.len = 0; stream.len < whole; stream.len++) {
		(void)file_remove_tree(at, "new", NULL);
		CHECK(receive("new", COPY_LINKS_ALL, 9) == -ENODATA);
		CHECK(!content("new/second") || strcmp(content("new/second"), "22222222222222") == 0);
		if (look("new").st_mode) {
			CHECK(fchmodat(at, "new", 0700, 0) == 0);
			(void)unlinkat(at, "new/first", 0);
			(void)unlinkat(at, "new/second", 0);
			CHECK(unlinkat(at, "new", AT_REMOVEDIR) == 0); /* nothing else is in it */
		}
	}
}

TEST(bounds)
{
	struct copyreceive c;
	char big[2048];
	int r;

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	begin();
	(void)copyrec_dir(&rec, "d", &plain, false);
	for (int i = 0; i < 2000; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%d", i);
		a_file(name, i < 500 ? big : "");
	}
	(void)copyrec_up(&rec);
	(void)copyrec_total(&rec, &rec.totals);
	r = receive_into("new", COPY_LINKS_ALL, 100000, &c);
	CHECK(r == -E2BIG);
	CHECK(c.totals.files > 100 && c.totals.files < 1000);
	copyreceive_release(&c);
	/* Too deep. */
	begin();
	for (int i = 0; i < COPY_DEPTH_MAX + 1; i++)
		(void)copyrec_dir(&rec, "d", &plain, false);
	(void)copyrec_total(&rec, &rec.totals);
	CHECK(receive("new", COPY_LINKS_ALL, 100000) == -EPROTO);
}

TEST(broken_streams)
{
	/* More data than announced, less, an end without a beginning, two trees, something behind the end. */
	begin();
	(void)copyrec_file(&rec, "f", &plain, 3);
	(void)copyrec_hole(&rec, 4);
	CHECK(finish("new", COPY_LINKS_ALL) == -EPROTO);
	begin();
	(void)copyrec_file(&rec, "f", &plain, 3);
	(void)copyrec_hole(&rec, 2);
	(void)copyrec_file_end(&rec, false);
	CHECK(finish("new", COPY_LINKS_ALL) == -EPROTO);
	begin();
	(void)copyrec_up(&rec);
	CHECK(finish("new", COPY_LINKS_ALL) == -EPROTO);
	begin();
	CHECK(finish("new", COPY_LINKS_ALL) == -EPROTO);
	begin();
	a_file("f", "x");
	a_file("g", "x");
	CHECK(finish("new", COPY_LINKS_ALL) == -EPROTO);
	begin();
	(void)copyrec_fail(&rec, ENOENT, &rec.totals, "words\x1b");
	CHECK(receive("new", COPY_LINKS_ALL, 4096) == -EREMOTEIO);
}

TEST(paths)
{
	static const struct {
		const char *path, *parent, *name;
		bool folder;
	} t[] = {
		{"a", ".", "a", false},        {"a/b", "a", "b", false},   {"/a", "/", "a", false},
		{"/", "/", NULL, true},        {".", ".", NULL, false},    {"a/.", "a/.", NULL, false},
		{"a/..", "a/..", NULL, false}, {"a/", ".", "a", true},     {"/a/b//", "/a", "b", true},
		{"/a//b", "/a", "b", false},   {"//", "//", NULL, true},   {"a/./", "a/./", NULL, true},
		{".a", ".", ".a", false},      {"...", ".", "...", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct copypath p;

		copypath_split(t[i].path, &p);
		CHECK_STR(p.parent, t[i].parent);
		CHECK(!p.name == !t[i].name && (!p.name || strcmp(p.name, t[i].name) == 0));
		CHECK(p.folder == t[i].folder);
		copypath_release(&p);
	}
}

static const char *rule(const char *path, bool folder)
{
	_cleanup_free_ char *full = xasprintf("%s/%s", place, path);
	const char *r = protectname_rule(full, folder);

	return r ? r : "";
}

TEST(protected_names)
{
	begin();
	CHECK_STR(rule("r/.envrc", false), "");
	CHECK(mkdirat(at, "r", 0700) == 0 && mkdirat(at, "r/.git", 0700) == 0);
	CHECK_STR(rule("r/.envrc", false), "envrc");
	CHECK_STR(rule("r/.ENVRC", false), "envrc");
	CHECK_STR(rule("r/.envrc2", false), "");
	CHECK_STR(rule("r/.vscode/deep/tasks.json", false), "editor");
	CHECK_STR(rule("r/.github", true), "");
	CHECK_STR(rule("r/.github/workflows", true), "ci");
	CHECK_STR(rule("r/sub/.envrc", false), "");
	/* Whatever is called .git is a repository for who goes there. */
	CHECK_STR(rule("r/.git/config", false), "git-config");
	CHECK_STR(rule("elsewhere/.git/hooks/pre-commit", false), "git-hooks");
	CHECK_STR(rule("elsewhere/.git/modules/x/config", false), "git-modules");
	CHECK_STR(rule("elsewhere/.git/objects/config", false), "");
	CHECK_STR(rule("elsewhere/.git", true), "");
	CHECK_STR(rule("elsewhere/.git", false), "git-config");
	begin();
	(void)rmdir(place);
}

TEST_MAIN()
