#include "cmd/enter.h"

#include "base/log.h"
#include "box/box.h"
#include "box/boxbroker.h"
#include "box/portspec.h"
#include "box/resolve.h"
#include "box/slotdisk.h"
#include "cmd/asking.h"
#include "cmd/enterguest.h"
#include "cmd/machineoptions.h"
#include "cmd/sharing.h"
#include "cmd/sshagent.h"
#include "net/policy.h"
#include "nix/storepath.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* --- where -------------------------------------------------------------------------------------------------------- */

/* What slots belong to: all worktrees of a repository share one. */
static char *repository_of(const struct source *source)
{
	size_t n;

	if (!source->is_git)
		return xstrdup(source->flake_dir);
	n = strlen(source->common_dir);
	if (str_ends(source->common_dir, "/.git"))
		n -= strlen("/.git");
	return xstrndup(source->common_dir, n);
}

/* With `disk`: a slot whose disk is free, for a kind that has one. */
static int open_repository(const struct box_options *o, bool disk, struct enter *in, struct err **e)
{
	_cleanup_free_ char *repository = NULL;
	_cleanup_free_ char *here = NULL;
	const char *start = o->dir ? o->dir : ".";
	int r = kind_find(o->kind, &in->kind, e);

	if (r < 0)
		return r;
	here = realpath(start, NULL);
	if (!here)
		return err_errno(e, errno, "cannot open the folder '%s'", start);
	r = source_find(here, &in->source, e);
	if (r < 0)
		return r;
	/* Where the user stands is where the command starts, as without igloo. */
	in->cwd = take_ptr(here);
	repository = repository_of(&in->source);
	/* A guest with a system of its own keeps what it keeps elsewhere. */
	if (!disk || !in->kind->machine || o->overlay || (o->guest && strcmp(o->guest, "minimal") != 0))
		return slot_open(repository, o->slot, &in->slot, e);
	return slotdisk_choose(repository, o->slot, &in->slot, e);
}

int enter_repository(const struct box_options *o, struct enter *in, struct err **e)
{
	return open_repository(o, false, in, e);
}

/* --- the environment ------------------------------------------------------------------------------------------------
 */

int enter_environment(const struct box_options *o, bool refresh, bool interactive, struct enter *in, struct strv *why,
		      struct err **e)
{
	struct box_spec extra = {0};
	_cleanup_free_ char *platform = machineoptions_platform(o);
	struct environment_query q = {
		.kind = in->kind->machine ? kinds[0] : in->kind,
		.platform = platform,
		.machine_kind = in->kind,
		.machine_kernel = o->kernel,
		.machine_accel = o->accel,
		.machine_arch = machineoptions_arch(o),
		.source = &in->source,
		.shell = o->shell ? o->shell : "default",
		.any_shell = !o->shell,
		.allow = &o->allow,
		.offline = o->offline,
		.no_host_cache = o->no_host_cache,
		.refresh = refresh,
		.interactive = interactive,
	};
	enum { TRIES = 3 };
	int r = in->kind->machine ? machineoptions_check(o, e) : machineoptions_refuse(o, in->kind->name, e);

	if (r == 0)
		r = sharing_settle(o, &in->shares, e);
	if (r == 0)
		r = shares_put(&in->shares, in->kind->machine, &extra, e);
	q.shares = extra.shares;
	q.nshares = extra.nshares;
	/* Host paths that vanished are forgotten, a damaged set goes, and the environment is resolved anew. */
	for (int i = 0; r == 0; i++) {
		_cleanup_strv_ struct strv vanished = STRV_INIT;

		r = in->kind->prepare(in->slot, &vanished, e);
		if (i == TRIES || (r != -EBADMSG && (r != -ESTALE || vanished.n == 0)))
			break;
		err_clear(e);
		r = r == -EBADMSG ? resolve_reset(in->slot, e) : resolve_forget(in->slot, &q, e);
	}
	if (r == 0)
		r = environment_open(in->slot, &q, &in->record, why, e);
	if (r == 0)
		r = enterguest_resolve(o, &q, in, e);
	box_spec_release(&extra);
	return r;
}

/* The program that the environment's PATH finds first: of the slot's store, or mounted from the host's. `set` (may be
 * NULL) knows where that lies, if not at the same place. */
static char *find_program(const struct slot *slot, const char *path, const char *name, const struct hostpaths *set)
{
	_cleanup_strv_ struct strv dirs = STRV_INIT;
	_cleanup_close_ int store = file_open_beneath(slot->dir, "nix/store", O_PATH | O_DIRECTORY, 0);

	strv_split(&dirs, path, ':');
	for (size_t i = 0; i < dirs.n; i++) {
		_cleanup_free_ char *program = xasprintf("%s/%s", dirs.v[i], name);
		_cleanup_free_ char *source = set ? hostpaths_source(set, program) : NULL;
		_cleanup_close_ int fd = -1;
		struct stat st;

		if (!str_starts(program, "/nix/store/"))
			continue;
		if (fstatat(AT_FDCWD, source ? source : program, &st, 0) == 0)
			return take_ptr(program);
		/* The slot's store is a box's to write: a link there could ask whether a file of the host exists. */
		fd = file_open_beneath(store, program + strlen("/nix/store/"), O_PATH | O_NOFOLLOW, 0);
		if (fd >= 0)
			return take_ptr(program);
	}
	return NULL;
}

/* For a machine that has to merge databases. */
static char *find_nix(const struct slot *slot, const char *path)
{
	_cleanup_hostpaths_ struct hostpaths set = {0};

	return hostpaths_load(slot->dir, &set, NULL) < 0 ? NULL : find_program(slot, path, "nix-store", &set);
}

static void add_user_variables(const struct box_options *o, struct strv *env)
{
	/* What describes the user's terminal and language; nothing that names a place or a secret of the host. */
	static const char *const passed[] = {"TERM",    "COLORTERM",  "NO_COLOR",    "LANG",  "LC_ALL", "LC_CTYPE",
					     "LC_TIME", "LC_NUMERIC", "LC_MESSAGES", "LINES", "COLUMNS"};

	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		if (str_has(getenv(passed[i])))
			strv_env_set(env, passed[i], getenv(passed[i]));
	for (size_t i = 0; i < o->env.n; i++) {
		const char *given = o->env.v[i];
		const char *eq = strchr(given, '=');
		_cleanup_free_ char *name = eq ? xstrndup(given, (size_t)(eq - given)) : xstrdup(given);

		strv_env_set(env, name, eq ? eq + 1 : getenv(name));
	}
}

static void fill_env(const struct box_options *o, struct enter *in)
{
	struct strv *env = &in->env;

	strv_add_all(env, in->record.env);
	strv_env_set(env, "HOME", BOX_HOME);
	strv_env_set(env, "USER", BOX_USER);
	strv_env_set(env, "LOGNAME", BOX_USER);
	strv_env_set(env, "XDG_RUNTIME_DIR", "/run/user/1000");
	strv_env_set(env, "NIX_REMOTE", "local");
	strv_env_set(env, "NIX_SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
	strv_env_set(env, "SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
	strv_env_set(env, "IGLOO_BOX", in->kind->name);
	if (!strv_env_get(env, "SHELL") && *in->record.bash)
		strv_env_set(env, "SHELL", in->record.bash);
	if (!strv_env_get(env, "TERM"))
		strv_env_set(env, "TERM", "dumb");
	if (in->ssh_keys.n > 0)
		strv_env_set(env, "SSH_AUTH_SOCK", SSHKEYS_BOX_SOCKET);
	boxbroker_add_variables(&in->secrets, env);
	add_user_variables(o, env);
	secrets_add_placeholders(&in->secrets, env);
}

/* --- the box --------------------------------------------------------------------------------------------------------
 */

/* The clone has the box's name: that is how `igloo diff` and `merge` find it. */
static int clone_workspace(struct enter *in, struct err **e)
{
	int r = box_name(&in->spec, in->slot, e);

	if (r == 0)
		r = clone_make(&in->source, in->slot, in->spec.name, &in->clone, e);
	if (r < 0)
		return r;
	if (in->clone->made)
		log_note("clone '%s' on branch %s; igloo diff, merge or discard %s when it is done", in->spec.name,
			 in->clone->branch, in->spec.name);
	if (in->clone->left_out > 0)
		log_note("%zu files with uncommitted changes are not in the clone", in->clone->left_out);
	return 0;
}

static int share_workspace(struct enter *in, struct err **e)
{
	_cleanup_free_ char *tree = NULL;

	if (!in->clone)
		return box_spec_add_share(&in->spec, in->source.repo_dir, in->source.repo_dir,
					  in->spec.mode == BOX_READ_ONLY, e);
	tree = realpath(in->clone->tree, NULL);
	if (!tree)
		return err_errno(e, errno, "cannot open the clone '%s'", in->clone->tree);
	return box_spec_add_share(&in->spec, tree, in->source.repo_dir, false, e);
}

static int fill_spec(const struct box_options *o, struct enter *in, struct err **e)
{
	struct box_spec *spec = &in->spec;
	const char *path;
	int r;

	spec->name = o->name ? xstrdup(o->name) : NULL;
	spec->slot = xstrdup(in->slot->id);
	spec->workspace = xstrdup(in->source.repo_dir);
	spec->mode = o->clone ? BOX_CLONE : o->read_only ? BOX_READ_ONLY : BOX_DIRECT;
	spec->network = o->offline ? BOX_NET_NONE : BOX_NET_GATE;
	spec->host_store = !o->no_host_cache;
	strv_add_all(&spec->allow, o->allow.v);
	spec->allow_unnamed_tls = o->allow_unnamed_tls;
	secrets_add_allow(&in->secrets, &spec->allow);
	strv_add_all(&spec->ports, o->ports.v);
	spec->slot_home = true;
	spec->ephemeral = !o->detach;
	spec->detached = o->detach;
	spec->limits = (struct box_limits){
		.cpu_milli = o->cpus, .memory = o->memory, .pids = o->pids, .timeout_ms = o->timeout};
	spec->machine = (struct box_machine){.kernel = o->kernel ? xstrdup(o->kernel) : NULL,
					     .accel = o->accel ? xstrdup(o->accel) : NULL};
	machineoptions_fill(o, &spec->machine);
	enterguest_apply(in);
	if (*in->record.bash)
		spec->sh = xstrdup(in->record.bash);
	path = strv_env_get(&in->env, "PATH");
	/* What /usr/bin/env is. */
	spec->env = find_program(in->slot, path ? path : "", "env", NULL);
	if (in->kind->machine)
		spec->machine.nix = find_nix(in->slot, path ? path : "");
	for (size_t i = 0; spec->machine.store_image && i < in->record.n_closure; i++)
		strv_add(&spec->closure, in->record.closure[i].path);
	if (*in->record.attrs_json) {
		box_spec_add_file(spec, ".attrs.json", in->record.attrs_json);
		box_spec_add_file(spec, ".attrs.sh", in->record.attrs_sh);
	}
	if (o->offline && spec->allow.n > 0)
		return err_set(e, EINVAL, "a secret that is bound to a host is of no use with --offline");
	r = spec->mode == BOX_CLONE ? clone_workspace(in, e) : 0;
	if (r == 0)
		r = share_workspace(in, e);
	if (r == 0)
		r = protect_add_git_shares(&in->source, spec, e);
	if (r == 0)
		r = sharing_put(in, e);
	if (r == 0)
		r = protect_workspace(&in->source, &o->unprotect, spec, &in->protect, e);
	return r;
}

/* Adds igloo's own arguments, without its name. */
static int own_arguments(struct strv *argv, struct err **e)
{
	_cleanup_str_ struct str line = STR_INIT;
	_cleanup_close_ int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? err_errno(e, errno, "cannot read igloo's own arguments") : fd_read_all(fd, 4 << 20, &line, e);

	for (size_t at = strlen(str_text(&line)) + 1; r == 0 && at < line.len; at += strlen(line.p + at) + 1)
		strv_add(argv, line.p + at);
	return r;
}

/* Starts igloo again, as it was called, behind `argv`. */
static int start_behind(struct strv *argv, struct err **e)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int r;

	if (n < 0)
		return err_errno(e, errno, "cannot find igloo's own program");
	self[n] = '\0';
	strv_add(argv, self);
	r = own_arguments(argv, e);
	if (r < 0)
		return r;
	(void)execvp(argv->v[0], argv->v);
	return err_errno(e, errno, "cannot run %s", argv->v[0]);
}

static bool has_machine(const char *name)
{
	const struct kind *kind;

	return name && kind_find(name, &kind, NULL) == 0 && kind->machine;
}

/* What a machine cannot keep is refused, and what only a machine has. */
static int check_kind(const struct box_options *o, const struct enter *in, struct err **e)
{
	const char *name = in->kind->name;
	int r;

	if (!in->kind->machine)
		return o->kernel || o->accel
			       ? err_set(e, EINVAL, "--kernel and --accel are for --in vm, not for a %s", name)
			       : machineoptions_refuse(o, name, e);
	if (in->spec.limits.pids && o->guest && str_starts(o->guest, "nixos")) {
		(void)err_set(e, ENOTSUP, "--pids cannot be set for --guest nixos, whose systemd limits processes");
		return err_hint(
			e,
			"in its configuration: systemd.services.igloo-guest.serviceConfig.TasksMax = lib.mkForce 500;");
	}
	if (in->ssh_keys.n > 0 && o->guest && str_starts(o->guest, "nixos"))
		return err_set(e, ENOTSUP, "the SSH agent is not there for --guest nixos");
	r = machineoptions_check(o, e);
	return r < 0 ? r : machineoptions_check_sizes(o, &in->spec.limits, in->slot, e);
}

/* Limits that this process cannot set may be there for one that the user's systemd starts. */
static int plan_limits(uint64_t cpus, uint64_t memory, uint64_t pids, struct err **e)
{
	const struct cgroup_limits limits = {.cpu_milli = cpus, .memory = memory, .pids = pids};
	_cleanup_strv_ struct strv argv = STRV_INIT;
	int r = limits.cpu_milli || limits.memory || limits.pids ? cgroup_plan(&limits, &argv, e) : 0;

	return r <= 0 ? r : start_behind(&argv, e);
}

/* Whether they are there, before anything that takes long. */
static int name_secrets(const struct box_options *o, struct secrets *secrets, struct err **e)
{
	int r = 0;

	for (size_t i = 0; i < o->secret.n && r == 0; i++)
		r = secrets_add_variable(secrets, o->secret.v[i], e);
	for (size_t i = 0; i < o->secret_file.n && r == 0; i++)
		r = secrets_add_file(secrets, o->secret_file.v[i], e);
	return r;
}

int enter_prepare(const struct box_options *o, bool interactive, struct enter *in, struct err **e)
{
	int r;

	*in = (struct enter){.kind = NULL};
	r = portspec_check(&o->ports, e);
	if (r == 0 && !has_machine(o->kind))
		r = plan_limits(o->cpus, o->memory, o->pids, e);
	if (r == 0)
		r = name_secrets(o, &in->secrets, e);
	if (r == 0)
		r = sshagent_choose(o, &in->ssh_keys, e);
	if (r == 0)
		r = open_repository(o, true, in, e);
	if (r == 0)
		r = enter_environment(o, false, interactive, in, NULL, e);
	if (r == 0)
		r = asking_settle(o, in, e);
	if (r == 0 && !in->kind->machine)
		r = plan_limits(in->got.limit[REQUESTS_CPUS], in->got.limit[REQUESTS_MEMORY],
				in->got.limit[REQUESTS_PIDS], e);
	if (r == 0)
		r = sshagent_ask(o, &in->ssh_keys, e);
	if (r < 0)
		return r;
	fill_env(o, in);
	r = fill_spec(o, in, e);
	if (r == 0)
		r = asking_apply(in, e);
	if (r == 0)
		r = check_kind(o, in, e);
	if (r == 0)
		r = secrets_check_shares(&in->secrets, &in->spec, e);
	if (r == 0)
		r = sshkeys_check_shares(&in->ssh_keys, &in->spec, e);
	if (r == 0)
		r = secrets_open(&in->secrets, e);
	return r == 0 && in->kind->furnish ? in->kind->furnish(in->slot, &in->spec, e) : r;
}

int enter_check(const struct box_options *o, struct enter *in, struct err **e)
{
	int r;

	*in = (struct enter){.kind = NULL};
	r = portspec_check(&o->ports, e);
	for (size_t i = 0; i < o->allow.n && r == 0; i++) {
		_cleanup_str_ struct str entry = STR_INIT;

		r = policy_entry_normalise(o->allow.v[i], &entry, e);
	}
	if (r == 0)
		r = name_secrets(o, &in->secrets, e);
	if (r == 0)
		r = enter_repository(o, in, e);
	if (r == 0)
		r = sharing_settle(o, &in->shares, e);
	in->spec.limits = (struct box_limits){.cpu_milli = o->cpus, .memory = o->memory, .pids = o->pids};
	/* Without --in, the flake may ask for a kind. */
	return r < 0 || !o->kind ? r : check_kind(o, in, e);
}

void enter_release(struct enter *in)
{
	secrets_release(&in->secrets);
	sshkeys_release(&in->ssh_keys);
	requests_release(&in->got);
	/* First, for protect_free() may leave a process that would hold these locks until it has closed them. */
	slot_free(in->slot);
	clone_free(in->clone);
	protect_free(in->protect);
	free(in->machine.system_name);
	free(in->machine.toplevel);
	free(in->machine.flake);
	box_spec_release(&in->spec);
	shares_release(&in->shares);
	strv_release(&in->env);
	strv_release(&in->shell);
	free(in->cwd);
	record_release(&in->record);
	source_release(&in->source);
	if (in->cgroup) {
		(void)cgroup_remove(in->cgroup, NULL);
		cgroup_close(in->cgroup);
	}
}
