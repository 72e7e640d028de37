/* Making the box and staying with it to its end; see cmd/enter.h. */
#include "base/log.h"
#include "box/box.h"
#include "box/execenv.h"
#include "cmd/enter.h"
#include "cmd/portsview.h"
#include "cmd/report.h"
#include "nix/devscript.h"
#include "sys/childreport.h"
#include "sys/fd.h"
#include "sys/stdio.h"
#include "sys/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_TIMED_OUT = 124 }; /* as timeout(1) */

static int limit(struct enter *in, struct box *box, struct err **e)
{
	const struct box_limits *l = &in->spec.limits;
	const struct cgroup_limits limits = {.cpu_milli = l->cpu_milli, .memory = l->memory, .pids = l->pids};
	int r = in->kind->machine ? 0 : cgroup_create(in->spec.name, &limits, &in->cgroup, e);

	/* The guest has run nothing yet: whatever it starts is inside. */
	return r < 0 || !in->cgroup ? r : cgroup_add(in->cgroup, box->running.pid, e);
}

/* The kernel kills without a word; say whose limit it was. */
static void say_limits_hit(struct enter *in, const struct supervise_result *result)
{
	struct cgroup_event_counts counts = {.oom_kills = result->oom_kills, .pids_refused = result->forks_refused};

	if (in->cgroup && cgroup_events(in->cgroup, &counts, NULL) < 0)
		return;
	if (counts.oom_kills > 0)
		log_note("the box's memory limit was reached: %llu processes killed (--memory)",
			 (unsigned long long)counts.oom_kills);
	if (counts.pids_refused > 0)
		log_note("the box's limit of processes was reached (--pids)");
}

/* Inside, a protected file only says that it is read-only: name the flag here. */
static void say_protected(struct enter *in)
{
	_cleanup_strv_ struct strv notes = STRV_INIT;

	if (!in->protect)
		return;
	protect_add_notes(in->protect, &notes);
	for (size_t i = 0; i < notes.n; i++)
		log_note("%s", notes.v[i]);
}

static void say_denied(const struct box *box, bool json)
{
	_cleanup_strv_ struct strv notes = STRV_INIT;
	_cleanup_str_ struct str lines = STR_INIT;

	if (!box->net)
		return;
	if (json) {
		boxnet_events_json(box->net, &lines);
		(void)fd_write_all(STDERR_FILENO, str_text(&lines), lines.len);
		return;
	}
	boxnet_notes(box->net, &notes);
	for (size_t i = 0; i < notes.n; i++)
		log_note("%s", notes.v[i]);
}

static void say_signatures(const struct box *box, bool json)
{
	_cleanup_strv_ struct strv notes = STRV_INIT;
	_cleanup_str_ struct str line = STR_INIT;

	boxagent_notes(box->agent, &notes);
	if (json && box->agent) {
		_cleanup_json_ json_t *j = json_pack("{s:s, s:s, s:o}", "schema", "igloo.ssh-keys/1", "box",
						     box->spec->name, "keys", boxagent_json(box->agent));

		json_add_sorted(&line, j);
		str_addc(&line, '\n');
		(void)fd_write_all(STDERR_FILENO, line.p, line.len);
		return;
	}
	for (size_t i = 0; i < notes.n; i++)
		log_note("%s", notes.v[i]);
}

/* Ports that the user left to the kernel are said; as JSON, all of them. They are in the order of the spec. */
static void say_ports(const struct enter *in, const json_t *ports)
{
	for (size_t i = 0; i < in->spec.ports.n && i < json_array_size(ports); i++) {
		_cleanup_str_ struct str text = STR_INIT;
		struct portspec spec;

		portsview_add(json_array_get(ports, i), &text);
		if (portspec_parse(in->spec.ports.v[i], &spec, NULL) == 0 && spec.host == 0)
			log_note("port %s", str_text(&text));
	}
}

static void say_own_ports(const struct enter *in, const struct box *box)
{
	_cleanup_json_ json_t *ports = boxports_json(box->ports);
	_cleanup_str_ struct str line = STR_INIT;

	if (in->spec.detached || in->spec.ports.n == 0)
		return; /* run_detached() says them */
	if (in->json) {
		_cleanup_json_ json_t *j = json_pack("{s:s, s:s, s:O}", "schema", "igloo.ports/1", "box", in->spec.name,
						     "ports", ports);

		json_add_sorted(&line, j);
		str_addc(&line, '\n');
		(void)fd_write_all(STDERR_FILENO, line.p, line.len);
		return;
	}
	say_ports(in, ports);
}

/* For `igloo exec`: its commands start as this one does, if the script for that is in the box. */
static int write_execenv(const struct enter *in, const struct box *box, struct err **e)
{
	const struct env_record *rec = &in->record;
	struct execenv x = {.cwd = in->cwd, .env = in->env};
	char *const none[] = {NULL};
	int r;

	for (size_t i = 0; i < in->spec.nfiles && (rec->has_hook || rec->n_functions > 0); i++)
		if (strcmp(in->spec.files[i].name, strrchr(BOX_ENV_SCRIPT, '/') + 1) == 0)
			devscript_run_argv(&x.prefix, rec->bash, BOX_ENV_SCRIPT, none);
	if (!rec->has_hook)
		x.functions = (struct strv){rec->functions, rec->n_functions, 0};
	r = execenv_write(box->dir, &x, e);
	if (r == 0 && in->shell.n > 0)
		r = execenv_write_shell(box->dir, &in->shell, e);
	strv_release(&x.prefix);
	return r;
}

/* The terminal that is handed over as descriptors has a name on the host only. */
static void add_terminal(struct box_spec *spec)
{
	char name[64];

	for (int fd = 0; fd < 3; fd++) {
		if (ttyname_r(fd, name, sizeof(name)) != 0)
			continue;
		box_spec_add_terminal(spec, name);
		return;
	}
}

static int run_to_end(struct enter *in, char *const *shown, struct exec *x, void (*on_started)(void *), void *user,
		      struct supervise_result *result, struct err **e)
{
	struct stdio_guard stdio = STDIO_GUARD_INIT;
	struct box *box = NULL;
	bool handed = !in->spec.detached && !(x->flags & EXEC_PTY);
	int r;

	r = handed ? stdio_guard_make(false, &stdio, e) : 0;
	if (r < 0)
		return r;
	if (handed && !in->kind->machine)
		add_terminal(&in->spec);
	supervise_signals_block();
	r = box_make(in->kind, &in->spec, in->slot, shown, &box, e);
	if (in->starting)
		*in->starting = close_fd(*in->starting);
	if (r == 0)
		r = write_execenv(in, box, e);
	if (r == 0) {
		box->protect = in->protect;
		box->running.secrets = &in->secrets;
		box->ssh_keys = &in->ssh_keys;
		r = box_start(box, e);
	}
	if (r == 0)
		r = limit(in, box, e);
	if (r == 0)
		say_own_ports(in, box);
	if (r == 0)
		r = supervise_run(box, x->argv ? x : NULL, handed ? stdio.fds : NULL, on_started, user, result, e);
	stdio_guard_end(&stdio);
	if (box) {
		say_limits_hit(in, result);
		say_protected(in);
		boxnet_settle(box->net);
		say_denied(box, in->json);
		boxagent_finish(box->agent);
		say_signatures(box, in->json);
		box_stop(box);
		if (in->spec.detached) {
			execenv_remove(box->dir);
			(void)box_record_end(box,
					     r < 0                             ? 125
					     : result->how == SUPERVISE_EXITED ? result->value
									       : 128 + result->value,
					     r == 0 && result->stopped, NULL);
		}
	}
	box_free(box);
	return r;
}

static void translate(const struct supervise_result *result, int *ret_code, int *ret_signal)
{
	*ret_signal = 0;
	switch (result->how) {
	case SUPERVISE_EXITED:
		*ret_code = result->value;
		break;
	case SUPERVISE_SIGNALLED:
		*ret_code = 128 + result->value;
		*ret_signal = result->value;
		break;
	case SUPERVISE_TIMED_OUT:
		log_note("the time limit was reached: the box was stopped");
		*ret_code = EXIT_TIMED_OUT;
		break;
	case SUPERVISE_STOPPED:
		log_note("the box was stopped");
		*ret_code = 128 + SIGKILL;
		break;
	}
}

static void tell_started(void *user)
{
	/* The end of the pipe is the good news. */
	int *report = user;

	*report = close_fd(*report);
}

/* The supervisor of a detached box: its own session, no terminal, nothing of the caller's. */
static void ATTR_NORETURN supervise_detached(struct enter *in, char *const *shown, struct exec *x, int report)
{
	_cleanup_err_ struct err *e = NULL;
	struct supervise_result result = {0};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r;

	(void)setsid();
	(void)signal(SIGHUP, SIG_IGN);
	for (int fd = 0; fd < 3; fd++)
		(void)dup2(null, fd);
	if (chdir("/") < 0)
		childreport_fail(report, NULL);
	r = run_to_end(in, shown, x, tell_started, &report, &result, &e);
	if (r == 0 && report >= 0)
		r = err_set(&e, ECANCELED, "box '%s' was stopped while it started", in->spec.name);
	if (r < 0 && report >= 0)
		childreport_fail(report, e);
	enter_release(in);
	_exit(0);
}

static int say_started(const struct enter *in, bool json, pid_t pid, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;
	_cleanup_json_ json_t *ports = NULL;
	struct box_info info = {0};

	if (in->spec.ports.n > 0)
		(void)box_look(in->spec.name, &info, NULL);
	ports = portsview_of(&info);
	box_info_release(&info);
	if (json) {
		_cleanup_json_ json_t *j = json_pack("{s:s, s:s, s:s, s:i, s:O}", "schema", "igloo.started/1", "name",
						     in->spec.name, "slot", in->slot->id, "supervisor", (int)pid,
						     "ports", ports);

		json_add_sorted(&s, j);
		str_addc(&s, '\n');
	} else {
		say_ports(in, ports);
		str_addf(&s, "%s\n", in->spec.name);
	}
	return in->silent ? 0 : report_out(&s, e);
}

/* The end of the pipe says that all is well, or that who had to say otherwise was killed. */
static int check_started(const char *name, struct err **e)
{
	struct box_info info = {0};
	bool killed = box_look(name, &info, NULL) == 0 && !info.running && info.exit_code < 0;

	box_info_release(&info);
	return killed ? err_set(e, EPIPE, "the supervisor of box '%s' was killed while it started", name) : 0;
}

static int run_detached(struct enter *in, bool json, char *const *shown, struct exec *x, struct err **e)
{
	int report[2];
	pid_t pid;
	int r;

	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
		x->flags |= EXEC_PTY;
		tty_size(STDOUT_FILENO, &x->rows, &x->cols);
	}
	r = box_name(&in->spec, in->slot, e);
	if (r < 0)
		return r;
	if (pipe2(report, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	pid = fork();
	if (pid == 0) {
		(void)close(report[0]);
		supervise_detached(in, shown, x, report[1]);
	}
	(void)close(report[1]);
	/* The supervisor's from now on. */
	protect_abandon(in->protect);
	in->protect = NULL;
	r = pid < 0 ? err_errno(e, errno, "cannot fork") : childreport_wait(report[0], NULL, e);
	(void)close(report[0]);
	if (r == 0)
		r = check_started(in->spec.name, e);
	return r < 0 ? r : say_started(in, json, pid, e);
}

static bool has_terminal(void)
{
	return isatty(STDIN_FILENO) || isatty(STDOUT_FILENO) || isatty(STDERR_FILENO);
}

int enter_run(struct enter *in, const struct box_options *o, bool json, char *const *shown, const struct strv *argv,
	      int *ret_code, int *ret_signal, struct err **e)
{
	struct exec x = {.uid = BOX_UID, .gid = BOX_GID, .cwd = in->cwd, .argv = argv->v, .env = in->env.v};
	struct supervise_result result = {0};
	int r;

	*ret_code = *ret_signal = 0;
	in->json = json;
	if (o->detach)
		return run_detached(in, json, shown, &x, e);
	/* Without a terminal there is no job control to keep, and the command gets a session of its own: it cannot
	 * signal igloo's process group, whose members are the host's. */
	x.flags = EXEC_HAS_FDS | (has_terminal() && !in->kind->machine ? EXEC_FOREGROUND : 0);
	if (in->kind->machine && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
		x.flags = EXEC_PTY;
		tty_size(STDOUT_FILENO, &x.rows, &x.cols);
	}
	r = run_to_end(in, shown, &x, NULL, NULL, &result, e);
	if (r == 0)
		translate(&result, ret_code, ret_signal);
	return r;
}
