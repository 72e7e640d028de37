#include "box/secret.h"
#include "box/redact.h"
#include "box/secrets.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static char place[] = "/tmp/secret-XXXXXX";
static char *folder; /* of the secrets' files */

/* Where an error goes whose number is all that counts: without one, err_hint() knows no number. */
static struct err **err(void)
{
	static struct err *last;

	err_clear(&last);
	return &last;
}

/* A configuration folder of our own, once. */
static void begin(void)
{
	if (folder)
		return;
	if (!mkdtemp(place) || setenv("XDG_CONFIG_HOME", place, 1) < 0)
		abort();
	folder = xasprintf("%s/igloo/secrets", place);
}

/* The value, or NULL with the error's number. */
static char *value_of(const char *name, int *ret)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_close_ int fd = secret_open(name, &e);
	struct str s = STR_INIT;

	*ret = fd < 0 ? fd : 0;
	if (fd < 0) {
		printf("# %s\n", err_message(e));
		return NULL;
	}
	if (lseek(fd, 0, SEEK_SET) < 0 || fd_read_all(fd, SECRET_BYTES_MAX, &s, NULL) < 0)
		abort();
	return str_take(&s);
}

static bool is(const char *name, const char *wanted)
{
	int r;
	_cleanup_free_ char *value = value_of(name, &r);

	return value && strcmp(value, wanted) == 0;
}

static int number_of(const char *name)
{
	int r;

	free(value_of(name, &r));
	return r;
}

static bool put(const char *name, const char *bytes, mode_t mode)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", folder, name);
	_cleanup_close_ int fd = -1;

	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd >= 0 && fd_write_all(fd, bytes, strlen(bytes)) == 0 && fchmod(fd, mode) == 0;
}

TEST(names)
{
	char longest[SECRET_NAME_MAX + 2];

	memset(longest, 'A', sizeof(longest));
	longest[SECRET_NAME_MAX + 1] = '\0';
	CHECK(!secret_name_is_valid(longest));
	longest[SECRET_NAME_MAX] = '\0';
	CHECK(secret_name_is_valid(longest));
	CHECK(secret_name_is_valid("_") && secret_name_is_valid("a1"));
	for (size_t i = 0; i < 9; i++) {
		static const char *const bad[] = {"", "1a", "a-b", "a.b", "a/b", "..", "a b", "a=b", "\xc3\xa4"};

		CHECK(!secret_name_is_valid(bad[i]) && secret_name_check(bad[i], err()) == -EINVAL);
	}
}

TEST(a_value_comes_back)
{
	_cleanup_free_ char *large = xcalloc(SECRET_BYTES_MAX + 2, 1);
	_cleanup_free_ char *path = NULL;
	struct stat st;
	int r;

	begin();
	CHECK(number_of("A") == -ENOENT);
	CHECK(secret_set("A", "one", 3, err()) == 0 && is("A", "one"));
	CHECK(secret_set("A", "two\n", 4, err()) == 0 && is("A", "two\n"));
	path = xasprintf("%s/A", folder);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
	CHECK(stat(folder, &st) == 0 && (st.st_mode & 07777) == 0700);
	memset(large, 'x', SECRET_BYTES_MAX + 1);
	CHECK(secret_set("A", large, SECRET_BYTES_MAX + 1, err()) == -EFBIG && is("A", "two\n"));
	CHECK(secret_set("A", "", 0, err()) == -EINVAL && is("A", "two\n"));
	large[SECRET_BYTES_MAX] = '\0';
	CHECK(secret_set("A", large, SECRET_BYTES_MAX, err()) == 0 && is("A", large));
	r = secret_remove("A", err());
	CHECK(r == 0 && secret_remove("A", err()) == -ENOENT && number_of("A") == -ENOENT);
}

TEST(the_memory_file_is_sealed)
{
	_cleanup_close_ int fd = -1;

	begin();
	CHECK(secret_set("SEALED", "one", 3, err()) == 0);
	fd = secret_open("SEALED", err());
	CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
	CHECK(pwrite(fd, "x", 1, 0) < 0 && ftruncate(fd, 0) < 0);
}

TEST(files_that_are_refused)
{
	_cleanup_free_ char *path = NULL;

	begin();
	CHECK(secret_set("B", "one", 3, err()) == 0);
	CHECK(put("B", "igloo.secret/1 value\nx", 0600) && is("B", "x"));
	CHECK(put("B", "igloo.secret/1 value\nx", 0640) && number_of("B") == -EPERM);
	CHECK(put("B", "igloo.secret/1 value\nx", 0602) && number_of("B") == -EPERM);
	CHECK(put("B", "igloo.secret/1 value\n", 0600) && number_of("B") == -EINVAL);
	CHECK(put("B", "a bare value", 0600) && number_of("B") == -EBADMSG);
	CHECK(put("B", "", 0600) && number_of("B") == -EBADMSG);
	CHECK(put("B", "igloo.secret/1 command\n[]", 0600) && number_of("B") == -EBADMSG);
	CHECK(put("B", "igloo.secret/1 command\n[1]", 0600) && number_of("B") == -EBADMSG);
	CHECK(put("B", "igloo.secret/1 command\n[\"echo\"", 0600) && number_of("B") < 0);
	CHECK(put("B", "igloo.secret/1 value\nx", 0600) && chmod(folder, 0750) == 0 && number_of("B") == -EPERM);
	CHECK(chmod(folder, 0700) == 0 && is("B", "x"));
	path = xasprintf("%s/B", folder);
	CHECK(unlink(path) == 0 && mkfifo(path, 0600) == 0 && number_of("B") == -EINVAL);
	CHECK(unlink(path) == 0 && symlink("/etc/passwd", path) == 0 && number_of("B") == -ELOOP);
	CHECK(unlink(path) == 0);
	if (geteuid() == 0) {
		CHECK(put("B", "igloo.secret/1 value\nx", 0600) && chown(path, 1, 1) == 0 && number_of("B") == -EPERM);
		CHECK(unlink(path) == 0);
	}
}

TEST(commands)
{
	char *const echo[] = {(char[]){"echo"}, (char[]){"a b"}, NULL};
	char *const fails[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"echo value; echo why >&2; exit 2"}, NULL};
	char *const silent[] = {(char[]){"true"}, NULL};
	char *const floods[] = {(char[]){"yes"}, NULL};
	char *const missing[] = {(char[]){"no-such-program"}, NULL};
	char *const relative[] = {(char[]){"./echo"}, NULL};
	_cleanup_err_ struct err *e = NULL;

	begin();
	CHECK(secret_set_command("C", echo, err()) == 0 && is("C", "a b"));
	CHECK(secret_set_command("C", missing, err()) == -EINVAL &&
	      secret_set_command("C", relative, err()) == -EINVAL);
	CHECK(is("C", "a b"));
	CHECK(secret_set_command("C", fails, err()) == 0 && secret_open("C", &e) == -EIO);
	CHECK(strstr(err_details(e), "why") && !strstr(err_details(e), "value") && !strstr(err_message(e), "value;"));
	CHECK(secret_set_command("C", silent, err()) == 0 && number_of("C") == -ENODATA);
	CHECK(secret_set_command("C", floods, err()) == 0 && number_of("C") == -EFBIG);
	CHECK(secret_check("C", err()) == 0); /* runs nothing */
	CHECK(put("C", "igloo.secret/1 command\n[\"no-such-program\"]", 0600) && number_of("C") == -EINVAL);
}

TEST(trim)
{
	CHECK(secret_trim("a\n", 2) == 1 && secret_trim("a", 1) == 1 && secret_trim("\n", 1) == 0);
	CHECK(secret_trim("a\nb\n", 4) == 4 && secret_trim("a\n\n", 3) == 3 && secret_trim("", 0) == 0);
}

TEST(list)
{
	_cleanup_err_ struct err *e = NULL;
	struct secret_info *list = NULL;
	char *const echo[] = {(char[]){"echo"}, (char[]){"x"}, NULL};
	size_t n = 0;

	begin();
	CHECK(secret_set("LIST_B", "one", 3, err()) == 0 && secret_set_command("LIST_A", echo, err()) == 0);
	CHECK(put("LIST_C", "nothing of ours", 0600) && put(".LIST_D.1.1.tmp", "x", 0600));
	CHECK(secret_list(&list, &n, err()) == 0 && n >= 3);
	for (size_t i = n - 3, k = 0; k < 3; i++, k++) {
		static const char *const names[] = {"LIST_A", "LIST_B", "LIST_C"};

		/* SEALED and others may follow or precede: look the three up. */
		for (i = 0; i < n && strcmp(list[i].name, names[k]) != 0; i++)
			;
		CHECK(i < n && list[i].command.n == (k == 0 ? 2 : 0) && (list[i].refused != NULL) == (k == 2));
	}
	secret_list_free(list, n);
	CHECK(secret_open("LIST_X", &e) == -ENOENT && strstr(err_hints(e), "LIST_A") && strstr(err_hints(e), "LIST_B"));
}

TEST(the_callers_environment)
{
	begin();
	CHECK(setenv("SECRET_OF_CALLER", "mine", 1) == 0 && is("SECRET_OF_CALLER", "mine"));
	CHECK(secret_set("SECRET_OF_CALLER", "kept", 4, err()) == 0 && is("SECRET_OF_CALLER", "kept"));
	CHECK(secret_remove("SECRET_OF_CALLER", err()) == 0 && setenv("SECRET_OF_CALLER", "", 1) == 0);
	CHECK(secret_check("SECRET_OF_CALLER", err()) == -ENOENT);
}

TEST(what_is_asked_for)
{
	static const char *const bad[] = {"D=/etc/x",  "D=x",       "D=",       "D=/tmp/../etc/x",
					  "D=/tmp/x/", "D=/tmp//x", "D=/tmp/.", "D=/run/secrets/E",
					  "D=/tmp",    "D=~/../x",  "D=~",      "X=/tmp/x"};
	_cleanup_secrets_ struct secrets s = {NULL, 0};
	struct box_share share = {.target = (char[]){"/tmp/shared"}};
	struct box_spec spec = {.shares = &share, .nshares = 1};

	begin();
	CHECK(setenv("HOME", "/home/caller/", 1) == 0);
	CHECK(secret_set("D", "one", 3, err()) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(secrets_add_file(&s, bad[i], err()) < 0);
	CHECK(s.n == 0);
	CHECK(secrets_add_file(&s, "D", err()) == 0 && secrets_add_file(&s, "D", err()) == -EINVAL);
	CHECK(secrets_add_file(&s, "D=~/.netrc", err()) == 0 && secrets_add_file(&s, "D=/home/caller/x", err()) == 0);
	CHECK_STR(s.v[0].path, "/run/secrets/D");
	CHECK_STR(s.v[1].path, BOX_HOME "/.netrc");
	CHECK_STR(s.v[2].path, BOX_HOME "/x");
	CHECK(secrets_check_shares(&s, &spec, err()) == 0);
	CHECK(secrets_add_file(&s, "D=/tmp/shared2", err()) == 0 && secrets_check_shares(&s, &spec, err()) == 0);
	CHECK(secrets_add_file(&s, "D=/tmp/shared/x", err()) == 0 && secrets_check_shares(&s, &spec, err()) == -EINVAL);
	CHECK(secrets_add_variable(&s, "D", err()) == 0 && secrets_add_variable(&s, "D=D", err()) == -EINVAL);
	CHECK(secrets_add_variable(&s, "D=a-b", err()) == -EINVAL && secrets_add_variable(&s, "D=", err()) == -EINVAL);
	while (s.n < SECRETS_MAX) {
		_cleanup_free_ char *given = xasprintf("D=V%zu", s.n);

		CHECK(secrets_add_variable(&s, given, err()) == 0);
	}
	CHECK(secrets_add_variable(&s, "D=MORE", err()) == -E2BIG);
}

TEST(bound_to_hosts)
{
	_cleanup_secrets_ struct secrets s = {NULL, 0};
	_cleanup_strv_ struct strv env = STRV_INIT;
	_cleanup_strv_ struct strv allow = STRV_INIT;

	begin();
	CHECK(secret_set("D", "value", 5, err()) == 0);
	CHECK(secrets_add_variable(&s, "D@API.example.org", err()) == 0);
	CHECK(secrets_add_variable(&s, "D@example.org:8443", err()) == 0);
	CHECK(secrets_add_variable(&s, "D@api.example.org:443", err()) == 0);
	CHECK(secrets_add_variable(&s, "D@api.example.org=E", err()) == 0);
	CHECK(s.n == 2 && s.v[0].hosts.n == 2 && s.v[1].hosts.n == 1);
	CHECK(strcmp(s.v[0].placeholder, s.v[1].placeholder) != 0 &&
	      strlen(s.v[0].placeholder) == strlen("igloo_D_") + 32);
	CHECK(secrets_add_variable(&s, "D", err()) == -EINVAL && secrets_add_variable(&s, "D=E", err()) == -EINVAL);
	CHECK(secrets_add_variable(&s, "NONE@example.org", err()) == -ENOENT);
	CHECK(secrets_add_file(&s, "D@example.org", err()) == -EINVAL);
	strv_add(&env, "D=old");
	secrets_add_placeholders(&s, &env);
	CHECK(env.n == 2);
	CHECK_STR(strv_env_get(&env, "D"), s.v[0].placeholder);
	CHECK_STR(strv_env_get(&env, "E"), s.v[1].placeholder);
	secrets_add_allow(&s, &allow);
	CHECK(allow.n == 3);
	CHECK_STR(allow.v[0], "api.example.org:443");
	CHECK_STR(allow.v[1], "example.org:8443");
}

TEST(a_zero_byte)
{
	_cleanup_secrets_ struct secrets s = {NULL, 0};
	_cleanup_secrets_ struct secrets file = {NULL, 0};

	begin();
	CHECK(secret_set("ZERO", "a\0b", 3, err()) == 0);
	CHECK(secrets_add_variable(&s, "ZERO", err()) == 0 && secrets_open(&s, err()) == -EINVAL);
	CHECK(secrets_add_file(&file, "ZERO", err()) == 0 && secrets_open(&file, err()) == 0);
}

/* What goes to the guest, as it receives it. */
TEST(a_command_gets_them)
{
	static struct link l;
	_cleanup_secrets_ struct secrets s = {NULL, 0};
	char *const argv[] = {(char[]){"true"}, NULL};
	char *const env[] = {(char[]){"A=1"}, (char[]){"E=old"}, (char[]){"EE=2"}, NULL};
	const struct exec x = {.cwd = "/", .argv = argv, .env = env};
	struct exec_parts parts = {0};
	struct frame_decoder d = {0};
	struct exec got = {0};
	struct frame f;
	int pair[2];
	int r = 0;

	begin();
	CHECK(secret_set("E", "new", 3, err()) == 0);
	CHECK(secrets_add_variable(&s, "E", err()) == 0 && secrets_add_variable(&s, "E=F", err()) == 0);
	CHECK(secrets_add_variable(&s, "E@example.org=G", err()) == 0); /* not this one */
	CHECK(secrets_add_file(&s, "E", err()) == 0 && secrets_open(&s, err()) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	link_init(&l, pair[0], 1 << 20);
	CHECK(secrets_send_exec(&s, &l, 1, &x, NULL) == 0 && link_flush(&l) == 0);
	/* Nothing is left of it in the buffer. */
	CHECK(l.out.len == 0 && !memmem(l.out.p, l.out.cap, "E=new", 5));
	while (r == 0) {
		size_t room;
		uint8_t *p = frame_room(&d, &room);
		ssize_t n = read(pair[1], p, room);

		CHECK(n > 0);
		frame_grew(&d, (size_t)n);
		while (r == 0 && frame_next(&d, &f) > 0)
			r = exec_feed(&parts, &f, &got);
	}
	CHECK(r == 1);
	CHECK_STR(got.env[0], "A=1");
	CHECK_STR(got.env[1], "EE=2");
	CHECK_STR(got.env[2], "E=new");
	CHECK_STR(got.env[3], "F=new");
	CHECK(got.env[4] == NULL);
	exec_release(&got);
	link_release(&l);
	(void)close(pair[1]);
}

TEST(redaction)
{
	static const char text[] = "x secret-one y secret-onetwo secret-o secret-line\r\nsecret-line short\nse";
	static const char wanted[] = "x [secret R1] y [secret R2] secret-o [secret R3]\r\n[secret R3] short\nse";
	_cleanup_secrets_ struct secrets s = {NULL, 0};
	_cleanup_str_ struct str whole = STR_INIT;
	struct redact *r;

	begin();
	CHECK(secret_set("R1", "secret-one", 10, err()) == 0 && secret_set("R2", "secret-onetwo", 13, err()) == 0);
	CHECK(secret_set("R3", "secret-line\nshort\n", 18, err()) == 0 && secret_set("R4", "y", 1, err()) == 0);
	CHECK(secrets_add_variable(&s, "R1", err()) == 0 && secrets_add_variable(&s, "R2", err()) == 0);
	CHECK(secrets_add_variable(&s, "R3", err()) == 0 && secrets_add_file(&s, "R3", err()) == 0);
	CHECK(secrets_add_variable(&s, "R4", err()) == 0 && secrets_open(&s, err()) == 0);
	/* In pieces of every length. */
	for (size_t piece = 1; piece <= strlen(text); piece++) {
		_cleanup_str_ struct str got = STR_INIT;

		r = redact_new(&s);
		CHECK(r);
		for (size_t at = 0; at < strlen(text); at += piece)
			redact_add(r, text + at, strlen(text) - at < piece ? strlen(text) - at : piece, false, &got);
		redact_add(r, "", 0, true, &got);
		redact_free(r);
		CHECK_STR(str_text(&got), wanted);
	}
	r = redact_new(&s);
	redact_text(r, "Secret-ONE.secret-onetwo.SECRET-LINe.secret-on", &whole);
	CHECK_STR(str_text(&whole), "[secret R1].[secret R2].[secret R3].secret-on");
	redact_free(r);
	secrets_close(&s);
	CHECK(redact_new(NULL) == NULL);
}

TEST(end)
{
	_cleanup_close_ int top = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	begin();
	CHECK(file_remove_tree(top, strrchr(place, '/') + 1, NULL) == 0);
	free(folder);
	(void)err();
}

TEST_MAIN()
