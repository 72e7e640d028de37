/* The contract of struct kind (box/kind.h), run over every kind. */
#include "test.h"

#include "box/box.h"
#include "box/supervise.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char *work; /* a workspace with the static program `boxtool` in it */
static const struct kind *kind;
static int *agent; /* of the next box */

struct fixture {
	struct slot *slot;
	struct box_spec spec;
	struct box *box;
};

static void end(struct fixture *f)
{
	box_free(f->box);
	box_spec_release(&f->spec);
	slot_free(f->slot);
}

#include "kindmachine.h"

static void begin(struct fixture *f, char *const *argv, bool read_only)
{
	struct err *e = NULL;
	int r;

	memset(f, 0, sizeof(*f));
	r = slot_open(work, NULL, &f->slot, &e);
	f->spec.workspace = xstrdup(work);
	f->spec.slot_home = f->spec.ephemeral = true;
	fit_spec(&f->spec);
	if (r == 0)
		r = box_spec_add_share(&f->spec, work, work, read_only, &e);
	if (r == 0)
		r = box_make(kind, &f->spec, f->slot, argv, &f->box, &e);
	if (r == 0)
		f->box->running.agent = agent;
	if (r == 0)
		r = box_start(f->box, &e);
	if (r < 0)
		printf("# %s\n", e ? err_message(e) : "?");
	err_free(e);
	CHECK(r == 0);
}

/* As the main command of a box of its own. */
static struct supervise_result run_main(struct exec *x, const int *fds, bool read_only)
{
	struct supervise_result result = {.value = -1};
	struct fixture f;
	struct err *e = NULL;
	int r;

	begin(&f, x->argv, read_only);
	r = supervise_run(f.box, x, fds, NULL, NULL, &result, &e);
	if (r < 0) {
		printf("# %s\n", e ? err_message(e) : "?");
		result.how = SUPERVISE_STOPPED;
		result.value = e ? err_exit(e) : 125;
	}
	err_free(e);
	end(&f);
	return result;
}

static struct supervise_result run_kept(const struct exec *x, const int *fds)
{
	if (!kept.stream) {
		/* The slot's disk is for one at a time, and others have it while this one runs. */
		in_memory = true;
		begin(&kept.f, NULL, false);
		in_memory = false;
		machine_begin(&kept);
	}
	return machine_exec(&kept, x, fds);
}

enum where { ANYWHERE, OWN_BOX, READ_ONLY_BOX };

/* Runs boxtool with two arguments; its stdout (at most 4 KiB) goes to `out`. */
static struct supervise_result run_in(enum where where, const char *what, const char *arg, const char *input, char *out)
{
	_cleanup_free_ char *program = xasprintf("%s/boxtool", work);
	char *argv[] = {program, (char *)(uintptr_t)what, (char *)(uintptr_t)arg, NULL};
	char variable[] = "COLOUR=blue";
	char *env[] = {variable, NULL};
	struct exec x = {.flags = EXEC_HAS_FDS, .uid = BOX_UID, .gid = BOX_GID, .cwd = work, .argv = argv, .env = env};
	struct supervise_result result;
	int in[2];
	int to[2];
	ssize_t n;

	CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(to, O_CLOEXEC) == 0);
	CHECK(write(in[1], input, strlen(input)) == (ssize_t)strlen(input));
	(void)close(in[1]);
	{
		const int fds[3] = {in[0], to[1], 2};

		result = kind->machine && where == ANYWHERE ? run_kept(&x, fds)
							    : run_main(&x, fds, where == READ_ONLY_BOX);
	}
	(void)close(in[0]);
	(void)close(to[1]);
	n = read(to[0], out, 4095);
	out[n > 0 ? n : 0] = '\0';
	(void)close(to[0]);
	return result;
}

static char out[4096];

static struct supervise_result run(const char *what, const char *arg, const char *input)
{
	return run_in(ANYWHERE, what, arg, input, out);
}

TEST(exit_codes)
{
	for (int code = 0; code < 256; code += 51) {
		char text[8];
		struct supervise_result r;

		(void)snprintf(text, sizeof(text), "%d", code);
		r = run("exit", text, "");
		CHECK(r.how == SUPERVISE_EXITED && r.value == code);
	}
}

TEST(signals)
{
	struct supervise_result r = run("die", "9", "");

	CHECK(r.how == SUPERVISE_SIGNALLED && r.value == SIGKILL);
	r = run("die", "15", "");
	CHECK(r.how == SUPERVISE_SIGNALLED && r.value == SIGTERM);
}

TEST(stdio_and_environment)
{
	(void)run("copy", "", "through the box\n");
	CHECK_STR(out, "through the box\n");
	(void)run("env", "COLOUR", "");
	CHECK_STR(out, "blue\n");
	(void)run("env", "HOME", "");
	CHECK_STR(out, "(unset)\n");
}

TEST(never_root_inside)
{
	int pid;
	int uid;
	int gid;

	(void)run("ids", "", "");
	CHECK(sscanf(out, "%d %d %d", &pid, &uid, &gid) == 3);
	CHECK(uid == BOX_UID && gid == BOX_GID);
}

TEST(agent_socket_listens)
{
	char program[] = "/bin/none";
	char *argv[] = {program, NULL};
	struct sockaddr_un at = {.sun_family = AF_UNSPEC};
	socklen_t n = sizeof(at);
	struct fixture f;
	int listens = 0;
	int fd = -1;

	agent = &fd;
	begin(&f, argv, false);
	agent = NULL;
	CHECK(fd >= 0 && getsockname(fd, (struct sockaddr *)&at, &n) == 0 && at.sun_family == AF_UNIX &&
	      at.sun_path[0]);
	n = sizeof(listens);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 && listens);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & O_NONBLOCK));
	(void)close(fd);
	end(&f);
}

TEST(workspace_writable_or_not)
{
	_cleanup_free_ char *path = xasprintf("%s/written", work);
	struct stat st;

	CHECK(run_in(READ_ONLY_BOX, "touch", path, "", out).value == 1);
	CHECK(stat(path, &st) < 0);
	CHECK(run("touch", path, "").value == 0);
	CHECK(stat(path, &st) == 0 && st.st_uid == geteuid());
	CHECK(unlink(path) == 0);
}

TEST(host_is_not_there)
{
	CHECK(run("exists", "/etc/shadow", "").value == 1);
	CHECK(run("exists", "/root", "").value == 1);
	CHECK(run("exists", "/var/lib", "").value == 1);
	CHECK(run("exists", "/etc/passwd", "").value == 0);
}

TEST(set_user_id_files_are_refused_and_nothing_else)
{
	_cleanup_free_ char *path = xasprintf("%s/power", work);
	_cleanup_free_ char *tool = xasprintf("%s/boxtool", work);
	struct stat st;

	CHECK(run("create-setuid", path, "").value == 1);
	CHECK(stat(path, &st) < 0);
	CHECK(run("read-odd-mode", tool, "").value == 0);
}

TEST(left_over_processes_end_with_the_command)
{
	struct supervise_result r = run_in(OWN_BOX, "leave", "", "", out);

	CHECK(r.how == SUPERVISE_EXITED && r.value == 0);
}

TEST(command_not_found)
{
	char none[] = "/nonexistent";
	char *argv[] = {none, NULL};
	char *env[] = {NULL};
	struct exec x = {.uid = BOX_UID, .gid = BOX_GID, .cwd = work, .argv = argv, .env = env};
	struct supervise_result result;
	struct fixture f;
	struct err *e = NULL;

	begin(&f, argv, false);
	CHECK(supervise_run(f.box, &x, NULL, NULL, NULL, &result, &e) < 0);
	CHECK(err_exit(e) == 127);
	err_free(e);
	end(&f);
}

TEST(stop_is_idempotent_and_complete)
{
	struct fixture f;
	pid_t pid;

	begin(&f, NULL, false);
	pid = f.box->running.pid;
	CHECK(pid > 0 && kill(pid, 0) == 0);
	CHECK(kind->stop(&f.box->running, 0, NULL) == 0);
	CHECK(kill(pid, 0) < 0 && errno == ESRCH);
	CHECK(kind->stop(&f.box->running, 0, NULL) == 0);
	kind->destroy(&f.box->running);
	end(&f);
}

TEST(killed_guest_is_an_error)
{
	char none[] = "x";
	char *argv[] = {none, NULL};
	struct fixture f;
	struct supervise_result result;
	struct err *e = NULL;
	_cleanup_free_ char *program = xasprintf("%s/boxtool", work);
	char hold[] = "hold";
	char *hold_argv[] = {program, hold, NULL};
	char *env[] = {NULL};
	struct exec x = {.uid = BOX_UID, .gid = BOX_GID, .cwd = work, .argv = hold_argv, .env = env};

	begin(&f, argv, false);
	CHECK(kill(f.box->running.pid, SIGKILL) == 0);
	CHECK(supervise_run(f.box, &x, NULL, NULL, NULL, &result, &e) < 0);
	CHECK(err_exit(e) == 125);
	err_free(e);
	end(&f);
}

/* Its new parent may be one that reaps nothing, as in many a container: then it stays, ended. */
static bool has_ended(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/stat", (int)pid);
	_cleanup_str_ struct str text = STR_INIT;
	const char *state;

	if (kill(pid, 0) < 0 || file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return true;
	state = strrchr(str_text(&text), ')');
	return state && state[1] == ' ' && state[2] == 'Z';
}

TEST(supervisor_death_ends_the_box)
{
	int tell[2];
	pid_t supervisor;
	pid_t guest = 0;

	CHECK(pipe2(tell, O_CLOEXEC) == 0);
	supervisor = fork();
	if (supervisor == 0) {
		struct fixture f;

		begin(&f, NULL, false);
		(void)!write(tell[1], &f.box->running.pid, sizeof(pid_t));
		for (;;)
			(void)pause();
	}
	(void)close(tell[1]);
	CHECK(read(tell[0], &guest, sizeof(guest)) == (ssize_t)sizeof(guest));
	CHECK(kill(guest, 0) == 0);
	CHECK(kill(supervisor, SIGKILL) == 0 && waitpid(supervisor, NULL, 0) == supervisor);
	for (int i = 0; i < 500 && !has_ended(guest); i++)
		(void)poll(NULL, 0, 10);
	CHECK(has_ended(guest));
}

#include "kindgateway.h"
#include "kindtap.h"

static int copy_tool(const char *from, const char *to)
{
	_cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	char bytes[65536];
	ssize_t n = -1;

	while (in >= 0 && fd >= 0 && (n = read(in, bytes, sizeof(bytes))) > 0)
		if (write(fd, bytes, (size_t)n) != n)
			return -1;
	return n == 0 ? 0 : -1;
}

/* Every test once per kind. */
int main(int argc, char **argv)
{
	char folder[] = "/tmp/igloo-kind-XXXXXX";
	char *tool;
	volatile int number = 0;
	volatile int failed = 0;

	if (argc < 2 || !mkdtemp(folder))
		return 99;
	(void)setenv("XDG_STATE_HOME", folder, 1);
	(void)setenv("XDG_RUNTIME_DIR", folder, 1);
	(void)setenv("XDG_CACHE_HOME", folder, 1);
	(void)setenv("IGLOO_VIEW_KEEP", "2", 1);
	work = xasprintf("%s/work", folder);
	tool = xasprintf("%s/boxtool", work);
	if (mkdir(work, 0755) < 0 || copy_tool(argv[1], tool) < 0)
		return 99;
	free(tool);
	for (size_t k = 0; kinds[k]; k++) {
		const char *lack;

		kind = kinds[k];
		lack = lacking();
		if (lack) {
			number++;
			printf("ok %d - %s # SKIP %s\n", number, kind->name, lack);
			continue;
		}
		for (struct test *volatile t = tests_first; t; t = t->next) {
			if (!is_about_kind(t->name))
				continue;
			number++;
			if (setjmp(test_failed) == 0) {
				t->run();
				printf("ok %d - %s %s\n", number, kind->name, t->name);
			} else {
				failed++;
				printf("not ok %d - %s %s\n", number, kind->name, t->name);
			}
			(void)fflush(stdout);
		}
		machine_end(&kept);
		gate_drop();
	}
	printf("1..%d\n", number);
	{
		_cleanup_close_ int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		(void)file_remove_tree(tmp, folder + strlen("/tmp/"), NULL);
	}
	free(work);
	return failed ? 1 : 0;
}
