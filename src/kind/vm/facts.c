#include "kind/vm/facts.h"

#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "kind/vm/accel.h"
#include "kind/vm/qemu.h"
#include "kind/vm/storebuild.h"
#include "kind/vm/vmfs.h"
#include "kind/vm/warm.h"
#include "sys/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void add_qemu(const struct arch *arch, struct probe_facts *facts)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *qemu = NULL;
	int r = qemu_find(arch, &qemu, &e);
	struct probe_fact *fact = probe_add(facts, "qemu", "QEMU", "%s", r < 0 ? "" : qemu);

	if (r == 0)
		return;
	probe_lacks(fact, PROBE_NO, "%s; needed for boxes of kind vm only", err_message(e));
	probe_fix(fact, "%s", arch->qemu_hint);
}

/* Machines of another architecture: emulated, by a QEMU and a guest of their own. */
static void add_foreign(const struct arch *arch, struct probe_facts *facts)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *qemu = NULL;
	int r = qemu_find(arch, &qemu, &e);
	struct probe_fact *fact = probe_add(facts, arch->fact, arch->fact_title, "%s", r < 0 ? "" : qemu);

	if (r < 0) {
		probe_lacks(fact, PROBE_NO, "%s; needed for --arch %s only", err_message(e), arch->name);
		probe_fix(fact, "%s", arch->qemu_hint);
		return;
	}
	if (arch_check_guest(arch, &e) < 0)
		probe_lacks(fact, PROBE_PARTLY, "%s (docs/architectures.md)", err_message(e));
}

static void add_accel(struct probe_facts *facts)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {0};
	struct probe_fact *fact;

	accel_probe("/dev/kvm", -1, &v);
	fact = probe_add(facts, "accel", "machines",
			 v.usable ? "by KVM: a loop of 100 000 rounds takes %ld us"
				  : "emulated (TCG): slow, and no security boundary of their own",
			 v.loop_us);
	if (!v.usable)
		probe_lacks(fact, PROBE_PARTLY, "%s", v.why);
}

/* Where the tap is to be: in a network namespace of a user namespace. 0 or an errno. */
static int try_tap(void)
{
	int result[2] = {EPERM, 0};
	int ends[2];
	pid_t pid = pipe2(ends, O_CLOEXEC) < 0 ? -1 : fork();

	if (pid == 0) {
		_cleanup_close_ int device = tap_device(NULL);
		_cleanup_close_ int tap = -1;

		result[0] = device < 0 ? -device : unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ? errno : 0;
		if (result[0] == 0)
			tap = tap_make(device, "igloo", NULL);
		result[1] = tap < 0 ? -tap : 0;
		(void)!write(ends[1], result, sizeof(result));
		_exit(0);
	}
	if (pid < 0)
		return errno;
	(void)close(ends[1]);
	(void)!read(ends[0], result, sizeof(result));
	(void)close(ends[0]);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return result[0] ? result[0] : result[1];
}

static void add_network(struct probe_facts *facts)
{
	int errnum = try_tap();
	struct probe_fact *fact = probe_add(facts, "tap", "machines' network",
					    errnum ? "QEMU's own (slower)" : "a tap in the box's gateway");

	if (errnum == 0)
		return;
	probe_lacks(fact, PROBE_PARTLY, "no tap: %s: %s", TAP_DEVICE, strerror(errnum));
	if (errnum == EACCES)
		probe_fix(fact, "sudo chmod 0666 " TAP_DEVICE "   (as most distributions have it; a tap can be made in "
				"namespaces of one's own only)");
	else if (errnum == ENOENT || errnum == ENODEV || errnum == ENXIO)
		probe_fix(fact, "sudo modprobe tun; in a container: its engine's --device " TAP_DEVICE);
}

static void add_virtiofsd(struct probe_facts *facts)
{
	_cleanup_err_ struct err *e = NULL;
	struct vmfs fs = {.virtiofsd = NULL};
	int r = vmfs_find(NULL, &fs, &e);
	struct probe_fact *fact = probe_add(facts, "virtiofsd", "virtiofsd", "%s", r < 0 ? "" : fs.virtiofsd);
	bool found = r == 0;

	vmfs_release(&fs);
	if (r == 0)
		r = vmfs_check_files(&e);
	if (r == 0)
		return;
	probe_lacks(fact, PROBE_PARTLY, "%s; machines have their files by 9p", err_message(e));
	if (!found)
		probe_fix(fact, VMFS_HINT);
}

static void add_mkfs(struct probe_facts *facts)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *path = NULL;
	int r = storebuild_find(&path, &e);
	struct probe_fact *fact = probe_add(facts, "mkfs-erofs", "mkfs.erofs", "%s", r < 0 ? "" : path);

	if (r == 0)
		return;
	probe_lacks(fact, PROBE_PARTLY, "there is none; needed for --store-image only");
	probe_fix(fact, STOREBUILD_HINT);
}

static void add_memories(struct probe_facts *facts)
{
	size_t n = 0;
	uint64_t bytes = 0;
	_cleanup_str_ struct str size = STR_INIT;

	if (warm_look(false, &n, &bytes, NULL) < 0)
		return;
	size_add(&size, bytes);
	if (n == 0)
		(void)probe_add(facts, "memories", "machines in memory",
				"none: each boots, and the next like it need not");
	else
		(void)probe_add(facts, "memories", "machines in memory", "%zu to start from, %s", n, str_text(&size));
}

void vm_facts(struct probe_facts *facts)
{
	add_qemu(archs[0], facts);
	for (size_t i = 1; archs[i]; i++)
		add_foreign(archs[i], facts);
	add_virtiofsd(facts);
	add_mkfs(facts);
	add_accel(facts);
	add_network(facts);
	add_memories(facts);
}
