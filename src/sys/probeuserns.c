/* Why this machine refuses user namespaces, and the commands that allow them. */
#include "sys/fd.h"
#include "sys/probe_impl.h"

#include <errno.h>
#include <fcntl.h>

#define SYSCTL_FILE "/etc/sysctl.d/60-igloo.conf"

bool probe_read(const char *path, struct str *to)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fd_read_all(fd, 1 << 20, to, NULL) < 0)
		return false;
	while (to->len && to->p[to->len - 1] == '\n')
		to->p[--to->len] = '\0';
	return true;
}

long probe_sysctl(const char *name)
{
	_cleanup_free_ char *path = xasprintf("/proc/sys/%s", name);
	_cleanup_str_ struct str text = STR_INIT;
	char *end;
	long value;

	if (!probe_read(path, &text) || !text.len)
		return -1;
	value = strtol(text.p, &end, 10);
	return *end ? -1 : value;
}

static void fix_sysctl(struct str *fix, const char *name, const char *value)
{
	str_addf(fix, "sudo sysctl -w %s=%s\n", name, value);
	str_addf(fix, "and for good: echo '%s = %s' | sudo tee -a " SYSCTL_FILE, name, value);
}

/* Ubuntu 23.10 and later: a program without a profile of its own gets user namespaces without power. */
static void fix_apparmor(struct str *fix)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	_cleanup_str_ struct str path = STR_INIT;
	_cleanup_str_ struct str profile = STR_INIT;

	if (n > 0)
		str_add_printable(&path, exe, (size_t)n, false);
	else
		str_adds(&path, "/usr/bin/igloo");
	str_addf(&profile, "profile igloo \"%s\" flags=(unconfined) {", path.p);
	str_adds(fix, "printf '%s\\n' 'abi <abi/4.0>,' 'include <tunables/global>' ");
	str_add_quoted(fix, profile.p);
	str_adds(
		fix,
		" '  userns,' '}' | sudo tee /etc/apparmor.d/igloo && sudo apparmor_parser -r /etc/apparmor.d/igloo\n");
	str_adds(fix, "or, for every program: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
}

/* A chroot is not the root of any mount that this process sees, unless it was made on one. */
static bool in_chroot(void)
{
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_strv_ struct strv lines = STRV_INIT;

	if (!probe_read("/proc/self/mountinfo", &text))
		return false;
	strv_split(&lines, str_text(&text), '\n');
	for (size_t i = 0; i < lines.n; i++) {
		_cleanup_strv_ struct strv words = STRV_INIT;

		strv_split(&words, lines.v[i], ' ');
		if (words.n > 4 && strcmp(words.v[4], "/") == 0)
			return false;
	}
	return true;
}

static bool under_seccomp(void)
{
	_cleanup_str_ struct str text = STR_INIT;

	return probe_read("/proc/self/status", &text) && strstr(text.p, "\nSeccomp:\t2");
}

static void why_seccomp(struct str *why, struct str *fix)
{
	str_adds(why, "a system call filter forbids them, as containers have one");
	str_adds(fix, "docker or podman: run the container with --security-opt seccomp=unconfined\n");
	str_adds(fix, "Kubernetes: securityContext.seccompProfile.type: Unconfined");
}

static void why_refused(int errnum, struct str *why, struct str *fix)
{
	_cleanup_str_ struct str selinux = STR_INIT;

	if (geteuid() != 0 && probe_sysctl("kernel/unprivileged_userns_clone") == 0) {
		str_adds(why, "only root may make them here (kernel.unprivileged_userns_clone is 0)");
		fix_sysctl(fix, "kernel.unprivileged_userns_clone", "1");
	} else if (geteuid() != 0 && probe_sysctl("kernel/apparmor_restrict_unprivileged_userns") > 0) {
		str_adds(why, "AppArmor takes the power from those of programs without a profile "
			      "(kernel.apparmor_restrict_unprivileged_userns is 1)");
		fix_apparmor(fix);
	} else if (in_chroot()) {
		str_adds(why, "igloo runs in a chroot, where the kernel forbids them");
		str_adds(
			fix,
			"run igloo outside of the chroot, or enter it with pivot_root instead (bwrap, systemd-nspawn)");
	} else if (under_seccomp()) {
		why_seccomp(why, fix);
	} else if (probe_read("/sys/fs/selinux/enforce", &selinux) && strcmp(str_text(&selinux), "1") == 0) {
		str_adds(why, "SELinux forbids them to this user");
		str_adds(fix, "see why: sudo ausearch -m avc -ts recent");
	} else {
		str_addf(why, "the kernel forbids them (%s), and says no more", strerror(errnum));
	}
}

void probe_why_userns(int errnum, struct str *why, struct str *fix)
{
	long most = probe_sysctl("user/max_user_namespaces");

	if ((errnum == ENOSPC || errnum == EUSERS || errnum == EPERM) && most == 0) {
		str_adds(why, "they are switched off (user.max_user_namespaces is 0)");
		fix_sysctl(fix, "user.max_user_namespaces", "65536");
	} else if (errnum == ENOSPC || errnum == EUSERS) {
		str_addf(why,
			 "this user has as many as are allowed (user.max_user_namespaces is %ld), or they are nested "
			 "more than 32 deep",
			 most);
		fix_sysctl(fix, "user.max_user_namespaces", "65536");
	} else if ((errnum == EINVAL || errnum == ENOSYS) && access("/proc/self/ns/user", F_OK) < 0) {
		str_adds(why, "the kernel was built without them");
		str_adds(fix, "use a kernel with CONFIG_USER_NS=y");
	} else if (errnum == EPERM || errnum == EACCES || ((errnum == ENOSYS || errnum == EINVAL) && under_seccomp())) {
		why_refused(errnum, why, fix);
	} else {
		str_adds(why, strerror(errnum));
	}
}

int probe_explain_userns(int errnum, struct err **e)
{
	_cleanup_str_ struct str why = STR_INIT;
	_cleanup_str_ struct str fix = STR_INIT;
	_cleanup_strv_ struct strv lines = STRV_INIT;

	probe_why_userns(errnum, &why, &fix);
	(void)err_set(e, errnum, "cannot make a sandbox: no user namespaces: %s", str_text(&why));
	strv_split(&lines, str_text(&fix), '\n');
	for (size_t i = 0; i < lines.n; i++)
		(void)err_hint(e, "%s", lines.v[i]);
	return -errnum;
}
