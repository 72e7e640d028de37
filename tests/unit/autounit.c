/* cmd/autounit.h: a unit that systemd reads as it is meant. */
#include "cmd/autounit.h"
#include "sys/file.h"
#include "sys/spawn.h"
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(escapes)
{
	_cleanup_str_ struct str s = STR_INIT;
	char odd[] = "PATH=/a b:\"c\\d\"\n100%:$HOME:\xc3\xa4";
	char *const env[] = {odd, NULL};

	autounit_add(&s, "dev", "/opt/my \"igloo\" 5%/igloo", env);
	CHECK(strstr(str_text(&s), "\nEnvironment=\"PATH=/a b:\\\"c\\\\d\\\"\\x0a100%%:$HOME:\xc3\xa4\"\n"));
	CHECK(strstr(str_text(&s), "\nExecStart=:/usr/bin/env \"/opt/my \\\"igloo\\\" 5%%/igloo\" start dev\n"));
	CHECK(strstr(str_text(&s), "\nExecStop=:/usr/bin/env \"/opt/my \\\"igloo\\\" 5%%/igloo\" stop dev\n"));
	str_clear(&s);
	autounit_add(&s, "dev", "/usr/bin/igloo", env);
	CHECK(strstr(str_text(&s), "\nExecStart=\"/usr/bin/igloo\" start dev\n"));
	CHECK(strstr(str_text(&s), "\n[Install]\nWantedBy=default.target\n"));
}

TEST(systemd_agrees)
{
	_cleanup_free_ char *analyze = spawn_find("systemd-analyze", NULL, NULL);
	char dir[] = "/tmp/auto unit-XXXXXX";
	_cleanup_str_ struct str s = STR_INIT;
	_cleanup_str_ struct str said = STR_INIT;
	_cleanup_free_ char *program = NULL;
	_cleanup_free_ char *unit = NULL;
	char odd[] = "PATH=/a b:\"c\\d\"\n100%:$HOME";
	char *const env[] = {odd, NULL};
	_cleanup_close_ int tmp = -1;
	int fd;

	if (!analyze) {
		test_lacks = "systemd-analyze";
		return;
	}
	CHECK(mkdtemp(dir) && setenv("XDG_RUNTIME_DIR", dir, 1) == 0);
	/* It looks whether the program is there. */
	program = xasprintf("%s/ig'loo %%n", dir);
	unit = xasprintf("%s/igloo-dev.service", dir);
	fd = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	CHECK(fd >= 0 && close(fd) == 0);
	autounit_add(&s, "dev", program, env);
	fd = open(unit, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	CHECK(fd >= 0 && write(fd, s.p, s.len) == (ssize_t)s.len && close(fd) == 0);
	{
		char name[] = "systemd-analyze", verify[] = "verify", man[] = "--man=no", user[] = "--user";
		char *const argv[] = {name, verify, user, man, unit, NULL};
		const struct spawn sp = {.file = analyze, .argv = argv, .max_output = 65536, .time_limit_ms = 60000};
		int status = -1;
		int r = spawn_run(&sp, NULL, &said, &status, NULL);

		if (r < 0 || status != 0 || strstr(str_text(&said), "igloo-dev"))
			printf("# %s\n", str_text(&said));
		CHECK(r == 0 && status == 0 && !strstr(str_text(&said), "igloo-dev"));
	}
	/* With what it makes in the run-time folder. */
	tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(tmp >= 0 && file_remove_tree(tmp, dir + strlen("/tmp/"), NULL) == 0);
}

TEST(files)
{
	char dir[] = "/tmp/autounit-XXXXXX";
	_cleanup_free_ char *unit = NULL;
	_cleanup_free_ char *link = NULL;
	_cleanup_free_ char *target = NULL;
	_cleanup_strv_ struct strv names = STRV_INIT;
	char at[512];
	bool was;
	ssize_t n;
	FILE *f;

	CHECK(mkdtemp(dir) && setenv("XDG_CONFIG_HOME", dir, 1) == 0);
	unit = xasprintf("%s/systemd/user/igloo-dev.service", dir);
	link = xasprintf("%s/systemd/user/default.target.wants/igloo-dev.service", dir);
	CHECK(autounit_remove("dev", &was, NULL) == 0 && !was);
	CHECK(autounit_list(&names, NULL) == 0 && names.n == 0);
	CHECK(autounit_write("dev", NULL) == 0 && autounit_write("dev", NULL) == 0);
	n = readlink(link, at, sizeof(at) - 1);
	CHECK(n > 0);
	at[n] = '\0';
	CHECK_STR(at, unit);
	CHECK(autounit_list(&names, NULL) == 0 && names.n == 1);
	CHECK_STR(names.v[0], "dev");
	CHECK(autounit_remove("dev", &was, NULL) == 0 && was);
	CHECK(access(unit, F_OK) != 0 && readlink(link, at, sizeof(at)) < 0);
	/* Somebody else's. */
	f = fopen(unit, "we");
	CHECK(f && fputs("[Unit]\n", f) >= 0 && fclose(f) == 0);
	CHECK(autounit_write("dev", NULL) < 0 && autounit_remove("dev", &was, NULL) < 0);
	strv_release(&names);
	CHECK(autounit_list(&names, NULL) == 0 && names.n == 0);
	target = xasprintf("%s/systemd/user", dir);
	CHECK(unlink(unit) == 0);
	*strrchr(link, '/') = '\0';
	CHECK(rmdir(link) == 0 && rmdir(target) == 0);
	*strrchr(target, '/') = '\0';
	CHECK(rmdir(target) == 0 && rmdir(dir) == 0);
}

TEST_MAIN()
