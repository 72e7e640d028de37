#include "box/execenv.h"
#include "sys/file.h"
#include "test.h"

#include <errno.h>
#include <unistd.h>

static char folder[] = "/tmp/execenv-XXXXXX";

static int open_folder(void)
{
	return mkdtemp(folder) ? file_open_user(folder, O_RDONLY | O_DIRECTORY) : -1;
}

TEST(comes_back_as_written)
{
	char cwd[] = "/a folder\n";
	struct execenv x = {.cwd = cwd, .prefix = STRV_INIT};
	struct execenv got;
	struct str bytes = STR_INIT;
	struct stat st;
	int dir = open_folder();

	CHECK(dir >= 0);
	strv_add(&x.prefix, "/bin/bash");
	strv_add(&x.prefix, "");
	strv_add(&x.functions, "f");
	strv_add(&x.functions, "g");
	strv_add(&x.env, "A=");
	strv_add(&x.env, "B=\xff\n=");
	CHECK(execenv_write(dir, &x, NULL) == 0);
	CHECK(fstatat(dir, "exec", &st, 0) == 0 && (st.st_mode & 07777) == 0600);
	CHECK(file_read(dir, "exec", EXECENV_BYTES_MAX, &bytes, NULL) == 0);
	CHECK(execenv_decode(bytes.p, bytes.len, &got) == 0);
	CHECK_STR(got.cwd, x.cwd);
	CHECK(got.prefix.n == 2 && got.functions.n == 2 && got.env.n == 2);
	CHECK_STR(got.prefix.v[0], "/bin/bash");
	CHECK_STR(got.prefix.v[1], "");
	CHECK_STR(got.env.v[1], "B=\xff\n=");
	CHECK(execenv_needs_prefix(&got, "g") && !execenv_needs_prefix(&got, "ls"));
	strv_release(&got.functions);
	CHECK(execenv_needs_prefix(&got, "ls"));
	strv_release(&got.prefix);
	CHECK(!execenv_needs_prefix(&got, "ls"));
	execenv_release(&got);
	/* Every beginning of it is refused, or is one that ends between two variables. */
	for (size_t n = 0; n < bytes.len; n++) {
		char *copy = xmalloc(n + 1);
		int r;

		memcpy(copy, bytes.p, n);
		r = execenv_decode(copy, n, &got);
		CHECK(r == -EBADMSG || (r == 0 && n > 0 && copy[n - 1] == '\0' && got.functions.n == 2));
		if (r == 0)
			execenv_release(&got);
		free(copy);
	}
	execenv_remove(dir);
	CHECK(fstatat(dir, "exec", &st, 0) < 0);
	strv_release(&x.prefix);
	strv_release(&x.functions);
	strv_release(&x.env);
	str_release(&bytes);
	(void)close(dir);
	(void)rmdir(folder);
}

#define REFUSED(text) CHECK(execenv_decode(text, sizeof(text) - 1, &got) == -EBADMSG)

TEST(nonsense_is_refused)
{
	struct execenv got;

	REFUSED("");
	REFUSED("igloo.exec/1");
	REFUSED("igloo.exec/2\0/\0"
		"0\0"
		"0\0");
	REFUSED("igloo.exec/1\0relative\0"
		"0\0"
		"0\0");
	REFUSED("igloo.exec/1\0/\0"
		"1\0"
		"0\0");
	REFUSED("igloo.exec/1\0/\0"
		"-1\0"
		"0\0");
	REFUSED("igloo.exec/1\0/\0"
		"999999\0"
		"0\0");
	REFUSED("igloo.exec/1\0/\0"
		"\0"
		"0\0");
	REFUSED("igloo.exec/1\0/\0"
		"0\0"
		"0\0novalue\0");
	REFUSED("igloo.exec/1\0/\0"
		"0\0"
		"0\0A=b");
	CHECK(execenv_decode("igloo.exec/1\0/\0"
			     "0\0"
			     "0\0",
			     19, &got) == 0);
	execenv_release(&got);
}

TEST_MAIN()
