/* Theory of operation
 *
 * A machine is a box of namespaces (kind/common/) like a sandbox, whose first process does not run the box's commands:
 * it starts QEMU as its child, and carries what supervisor and guest say to each other over a virtio port
 * (wire/bridge.h). So QEMU has what a sandbox has: a mount namespace with nothing of the user's but the box's files
 * (kind/vm/enclosure.h), the gateway's network, no capability, the seccomp filter. Who gets out of the machine is in
 * the sandbox.
 *
 *     box: PID 1 = igloo-guest --vm ── QEMU ──virtio port── /init = igloo-guest ── igloo-guest as PID 1 of the commands
 *
 * The machine has the box's root by 9p, with every mount that protects it: what may not be written is read-only on this
 * side. Kernel and initrd are files of igloo's cache. Nothing in the machine is installed; it is there for one start.
 *
 * That is igloo's own guest, "minimal". A guest with a system of its own brings its kernel and initrd, and runs igloo's
 * as a service (kind/vm/nixos.h).
 */
#include "kind/vm/vm.h"

#include "base/log.h"
#include "box/dirs.h"
#include "box/secrets.h"
#include "guest/image.h"
#include "kind/common/life.h"
#include "kind/common/running.h"
#include "kind/common/view.h"
#include "kind/vm/accel.h"
#include "kind/vm/arch.h"
#include "kind/vm/enclosure.h"
#include "kind/vm/fittings.h"
#include "kind/vm/initrd.h"
#include "kind/vm/kernel.h"
#include "kind/vm/layer.h"
#include "kind/vm/machagent.h"
#include "kind/vm/machine.h"
#include "kind/vm/machnet.h"
#include "kind/vm/nixos.h"
#include "kind/vm/qemu.h"
#include "kind/vm/vmfs.h"
#include "kind/vm/vmlinux.h"
#include "kind/vm/vmsize.h"
#include "kind/vm/warm.h"
#include "sys/fd.h"
#include "sys/spawn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT_TAG "box"

enum {
	WANTS_MAX = 64,
	HELLO_KVM_MS = 20000,
	HELLO_TCG_MS = 180000,
	SYSTEM_HELLO_KVM_MS = 120000, /* systemd brings up a system first */
	SYSTEM_HELLO_TCG_MS = 900000,
};

_Static_assert((int)VMHOST_DISK_FD == (int)MONITOR_FDS && (int)VMHOST_DISKS_MAX == (int)LAYER_DISKS_MAX,
	       "handed down by the number that QEMU knows");

/* All that a start makes before the box is begun. */
struct parts {
	const struct arch *arch;
	char *qemu;
	char *kernel; /* what QEMU starts */
	char *initrd;
	enum accel accel;
	bool sandbox; /* QEMU's own seccomp filter, beside the box's */
	struct fittings fittings;
	enum machnet net;
	struct vmfs fs;
	struct layer layer;
	struct nixos nixos; /* of a guest that has one */
	struct str conf;    /* of igloo's own guest: what it is told */
	const char *cold;   /* why this machine cannot go on from memory (warm.h); NULL: it can */
	char *template;     /* what it goes on from; NULL: it boots */
};

/* What the machine has in it. `prepare` sets kernel and initrd, and what else is the guest's. */
struct guest {
	const char *name;
	int (*prepare)(const struct kind_box *box, const struct vmcache *cache, struct parts *p, struct err **e);
	int hello_kvm_ms;
	int hello_tcg_ms;
};

static void parts_release(struct parts *p)
{
	free(p->qemu);
	free(p->kernel);
	free(p->initrd);
	fittings_release(&p->fittings);
	nixos_release(&p->nixos);
	vmfs_release(&p->fs);
	layer_close(&p->layer);
	str_release(&p->conf);
	free(p->template);
}
#define _cleanup_parts_ ATTR_CLEANUP(parts_release)

static int choose_accel(const struct box_spec *spec, const struct arch *arch, enum accel *ret, struct err **e)
{
	_cleanup_accel_verdict_ struct accel_verdict verdict = {0};
	_cleanup_close_ int dir = dirs_open(DIRS_RUNTIME, "", NULL);
	enum accel wish = ACCEL_AUTO;
	int r = spec->machine.accel ? accel_parse(spec->machine.accel, &wish, e) : 0;

	if (r == 0 && !arch_is_own(arch)) {
		*ret = ACCEL_TCG;
		return wish == ACCEL_KVM ? err_set(e, EOPNOTSUPP,
						   "KVM cannot be used: this host's processor is not of %s", arch->name)
					 : 0;
	}
	if (r == 0)
		r = accel_choose(wish, dir, ret, &verdict, e);
	if (r == 0 && wish == ACCEL_AUTO && *ret == ACCEL_TCG && accel_is_news(dir, verdict.why))
		log_note("the machine is emulated, which is slow and no security boundary of its own (the sandbox "
			 "around "
			 "it is one): %s",
			 verdict.why);
	return r;
}

static bool has_below(const struct kind_box *box, const char *folder)
{
	const struct box_spec *spec = box->spec;

	for (size_t i = 0; i < spec->nshares; i++)
		if (str_starts(spec->shares[i].target, folder))
			return true;
	for (size_t i = 0; box->secrets && i < box->secrets->n; i++)
		if (box->secrets->v[i].path && str_starts(box->secrets->v[i].path, folder))
			return true;
	return false;
}

/* /tmp and the user's run-time folder in the machine's memory (QEMU's 9p has no sockets and pipes), unless they are to
 * show a folder or a secret of this side; the rest of the box as it is here. */
static int configure(const struct kind_box *box, const struct parts *p, struct str *to, struct err **e)
{
	int r;

	vmfs_add_root(&p->fs, ROOT_TAG, to);
	str_adds(to, "hostname=" BOX_HOSTNAME "\n");
	if (box->spec->limits.pids)
		str_addf(to, "pids=%" PRIu64 "\n", box->spec->limits.pids);
	r = layer_configure(box, to, e);
	if (!has_below(box, "/tmp/"))
		str_adds(to, "mount=tmpfs tmp /tmp nosuid,nodev,mode=1777\n");
	if (!has_below(box, "/run/user/"))
		str_addf(to, "mount=tmpfs run /run/user/%d nosuid,nodev,mode=0700,uid=%d,gid=%d\n", BOX_UID, BOX_UID,
			 BOX_GID);
	str_adds(to, str_text(&p->fittings.conf));
	if (box->agent)
		machagent_configure(to);
	return r < 0 ? r : machnet_configure(p->net, &box->spec->allow, to, e);
}

/* What the machine's kernel needs. */
struct wants {
	struct modules_want v[WANTS_MAX];
	size_t n;
};

static void gather_wants(const struct arch *arch, const struct box_spec *spec, const struct fittings *fittings,
			 struct wants *to)
{
	memcpy(to->v, arch->modules, arch->n_modules * sizeof(*to->v));
	memcpy(to->v + arch->n_modules, fittings->want, fittings->n_want * sizeof(*to->v));
	to->n = arch->n_modules + fittings->n_want;
	to->n += layer_modules(spec, to->v + to->n);
}

/* What it has of its devices by the time that it is kept is to be nobody's. */
static const char *why_cold(const struct box_spec *spec, const struct parts *p, const struct modules *modules)
{
	const struct box_machine *m = &spec->machine;

	if (!arch_is_own(p->arch))
		return "its processor is of another architecture";
	if (m->display || m->audio || m->nested)
		return "it has a screen, sound or machines of its own";
	if (p->fs.virtiofsd)
		return "it has its files by virtiofs";
	if (modules_has_builtin(modules, "virtio_blk") || modules_has_builtin(modules, "virtio_net"))
		return "its kernel finds disks and networks by itself (virtio_blk or virtio_net is built in)";
	return NULL;
}

static int prepare_minimal(const struct kind_box *box, const struct vmcache *cache, struct parts *p, struct err **e)
{
	struct wants wants;
	struct kernel_search search = {
		.arch = p->arch,
		.user = box->spec->machine.kernel,
		.root = "",
		.cache = cache,
		.want = wants.v,
	};
	_cleanup_kernel_ struct kernel kernel = {0};
	_cleanup_modules_ struct modules *modules = NULL;
	struct initrd initrd = {
		.init = p->arch->guest,
		.init_bytes = *p->arch->guest_size,
		.elf_machine = p->arch->elf_machine,
		.want = wants.v,
	};
	_cleanup_err_ struct err *why = NULL;
	int r;

	gather_wants(p->arch, box->spec, &p->fittings, &wants);
	search.n_want = wants.n;
	r = kernel_find(&search, &kernel, e);
	if (r == 0)
		r = modules_open(kernel.modules, &modules, e);
	if (r == 0)
		r = vmfs_check_kernel(&p->fs, box->spec->machine.fs, modules, e);
	if (r < 0)
		return r;
	r = vmlinux_get(cache, kernel.image, &p->kernel, &why);
	if (r == -EOPNOTSUPP)
		p->kernel = xstrdup(kernel.image);
	else if (r < 0) {
		if (e)
			*e = take_ptr(why);
		return r;
	}
	r = configure(box, p, &p->conf, e);
	if (r < 0)
		return r;
	p->cold = why_cold(box->spec, p, modules);
	initrd.n_want = vmfs_change_wants(&p->fs, wants.v, wants.n);
	initrd.modules = modules;
	return initrd_get(cache, &initrd, &p->initrd, e);
}

static int prepare_system(const struct kind_box *box, const struct vmcache *cache, struct parts *p, struct err **e)
{
	_cleanup_str_ struct str network = STR_INIT;
	int r;

	str_adds(&network, str_text(&p->fittings.conf));
	r = machnet_configure(p->net, &box->spec->allow, &network, e);
	if (r == 0)
		r = nixos_prepare(box, cache, str_text(&network), &p->nixos, e);
	if (r < 0)
		return r;
	p->cold = "it has a system of its own";
	p->kernel = xstrdup(p->nixos.kernel);
	p->initrd = xstrdup(p->nixos.initrd);
	return 0;
}

static const struct guest guests[] = {
	{"minimal", prepare_minimal, HELLO_KVM_MS, HELLO_TCG_MS},
	{"nixos", prepare_system, SYSTEM_HELLO_KVM_MS, SYSTEM_HELLO_TCG_MS},
};

static const struct guest *guest_of(const struct box_spec *spec)
{
	return &guests[spec->machine.toplevel ? 1 : 0];
}

/* A system of its own mounts by the names that its configuration has. */
static int choose_fs(const struct box_spec *spec, const struct vmcache *cache, struct parts *p, struct err **e)
{
	const char *wish = spec->machine.fs;

	if (!spec->machine.toplevel)
		return vmfs_choose(wish, p->accel == ACCEL_KVM, cache, &p->fs, e);
	if (wish && strcmp(wish, "virtiofs") == 0)
		return err_set(e, ENOTSUP, "--fs virtiofs is not there for --guest nixos: it mounts its files by 9p");
	return 0;
}

static int plan_fittings(const struct kind_box *box, struct parts *p, struct err **e)
{
	const struct fittings_host host = {.arch = p->arch, .kvm = p->accel == ACCEL_KVM, .qemu = p->qemu};

	return fittings_plan(&box->spec->machine, &host, &p->fittings, e);
}

static int prepare_parts(const struct kind_box *box, struct parts *p, struct err **e)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int dir = dirs_open(DIRS_CACHE, "kernels", e);
	struct vmcache cache = {.dir = dir};
	int r = dir < 0 ? dir : dirs_path(DIRS_CACHE, "kernels", &path, e);

	cache.path = path;
	if (r == 0)
		r = arch_find(box->spec->machine.arch, &p->arch, e);
	if (r == 0)
		r = arch_check_guest(p->arch, e);
	if (r == 0)
		r = qemu_find(p->arch, &p->qemu, e);
	if (r == 0)
		r = enclosure_check(p->qemu, e);
	if (r == 0)
		r = choose_accel(box->spec, p->arch, &p->accel, e);
	if (r == 0)
		r = plan_fittings(box, p, e);
	if (r == 0)
		r = machnet_choose(box->spec, &p->net, e);
	if (r == 0)
		r = qemu_has_sandbox(p->qemu, &cache, &p->sandbox, e);
	if (r == 0)
		r = choose_fs(box->spec, &cache, p, e);
	return r < 0 ? r : guest_of(box->spec)->prepare(box, &cache, p, e);
}

static int hello_ms(const struct box_spec *spec, const struct parts *p)
{
	const struct guest *guest = guest_of(spec);

	return p->accel == ACCEL_KVM ? guest->hello_kvm_ms : guest->hello_tcg_ms;
}

static int choose_start(const struct box_spec *spec, const struct machine *m, struct parts *p, struct err **e)
{
	struct warm_wish wish = {.why_not = p->cold,
				 .kernel = p->kernel,
				 .initrd = p->initrd,
				 .kvm = p->accel == ACCEL_KVM,
				 .hello_ms = hello_ms(spec, p),
				 .machine = m};
	int r = warm_parse(spec->machine.start, &wish.mode, e);

	return r < 0 ? r : warm_choose(&wish, &p->template, e);
}

/* For PID 1 of the box. */
static void add_options(const struct kind_box *box, const struct parts *p, size_t n_disks, struct strv *to)
{
	strv_add(to, "igloo-guest");
	strv_add(to, "3");
	strv_add(to, "--vm");
	for (size_t i = 0; i < n_disks; i++)
		strv_add(to, "--disk");
	if (p->conf.len > 0) {
		strv_add(to, "--conf");
		strv_add(to, ENCLOSURE_CONF);
	}
	if (p->template) {
		strv_add(to, "--warm");
		strv_add(to, ENCLOSURE_TEMPLATE);
	}
	strv_add(to, "--hello-ms");
	strv_addf(to, "%d", hello_ms(box->spec, p));
	if (p->net == MACHNET_TAP)
		strv_add(to, "--tap");
	if (p->fittings.screen) {
		strv_add(to, "--screen");
		strv_add(to, p->fittings.screen);
	}
	if (box->agent)
		machagent_add_options(to);
	for (size_t i = 0; i < p->fittings.env.n; i++) {
		strv_add(to, "--env");
		strv_add(to, p->fittings.env.v[i]);
	}
	if (p->fs.virtiofsd)
		vmfs_add_argv(&p->fs, enclosure_virtiofsd(p->fs.virtiofsd), "/" MONITOR_BOX, to);
}

static int command_line(const struct kind_box *box, struct parts *p, struct strv *to, struct err **e)
{
	const struct box_spec *spec = box->spec;
	const struct machine_port port = {.name = VM_PORT_NAME, .fd = VMHOST_PORT_FD};
	struct machine_disk disks[LAYER_DISKS_MAX];
	const size_t n_disks = layer_disks(&p->layer, VMHOST_DISK_FD, disks);
	/* Those behind the first are there with a system only. */
	const struct machine_share shares[] = {
		{.tag = ROOT_TAG, .path = "/" MONITOR_BOX, .virtiofsd = p->fs.virtiofsd ? VMHOST_FS_FD : 0},
		{.tag = NIXOS_FILES_TAG, .path = ENCLOSURE_FILES, .read_only = true},
		{.tag = NIXOS_STATE_TAG, .path = ENCLOSURE_STATE, .mapped = true}};
	const struct machine m = {
		.arch = p->arch,
		.qemu = p->qemu,
		.accel = p->accel == ACCEL_KVM ? MACHINE_KVM : MACHINE_TCG,
		.cpus = vmsize_cpus(spec),
		.memory_mib = vmsize_memory_mib(spec),
		.kernel = ENCLOSURE_KERNEL,
		.initrd = ENCLOSURE_INITRD,
		.ports = &port,
		.n_ports = 1,
		.append = p->nixos.append,
		.shares = shares,
		.n_shares = spec->machine.toplevel ? ARRAY_SIZE(shares) : 1,
		.disks = disks,
		.n_disks = n_disks,
		.netdev = machnet_netdev(p->net),
		.console = STDOUT_FILENO,
		.monitor = VMHOST_MONITOR_FD,
		.sandbox = p->sandbox,
		.display = p->fittings.display,
		.pci = p->fittings.pci,
		.nested = spec->machine.nested,
		.more = &p->fittings.argv,
	};
	int r = choose_start(spec, &m, p, e);

	if (r < 0)
		return r;
	add_options(box, p, n_disks, to);
	return machine_argv(&m, to, e);
}

/* Of the box that this process supervises: as long as it does, nobody else starts a machine on the system's state. */
static int state_lock = -1;

static int vm_start(struct kind_box *box, struct err **e)
{
	_cleanup_parts_ struct parts p = {.arch = archs[0],
					  .conf = STR_INIT,
					  .fittings = FITTINGS_INIT,
					  .nixos = NIXOS_INIT,
					  .layer = LAYER_INIT};
	_cleanup_strv_ struct strv argv = STRV_INIT;
	int fds[LAYER_DISKS_MAX];
	int r = vmsize_check(box->spec, e);

	if (r == 0)
		r = prepare_parts(box, &p, e);
	if (r == 0)
		r = layer_open(box, &p.layer, e);
	if (r == 0)
		r = command_line(box, &p, &argv, e);
	if (r == 0) {
		struct enclosure enclosure = {
			.qemu = p.qemu,
			.kernel = p.kernel,
			.initrd = p.initrd,
			.virtiofsd = p.fs.virtiofsd,
			.conf = p.conf.len > 0 ? str_text(&p.conf) : NULL,
			.template = p.template,
			.kvm = p.accel == ACCEL_KVM,
			.files = p.nixos.files,
			.n_files = p.nixos.n_files,
			.state = p.nixos.state,
			.given = p.fittings.files,
			.n_given = p.fittings.n_files,
			.run = p.fittings.run,
		};
		const struct monitor monitor = {.argv = argv.v,
						.tap = p.net == MACHNET_TAP,
						.arg = &enclosure,
						.sources = enclosure_sources,
						.fill = enclosure_fill,
						.fds = fds,
						.n_fds = layer_fds(&p.layer, fds),
						.layered = layer_wanted(box->spec)};

		r = life_start(box, &monitor, e);
	}
	if (r == 0)
		state_lock = take_fd(&p.nixos.lock);
	return r;
}

static void vm_destroy(struct kind_box *box)
{
	bool ran = box->pid > 0 || box->link >= 0 || box->pidfd >= 0;

	life_destroy(box);
	if (ran)
		layer_settle(box);
	state_lock = close_fd(state_lock);
}

static void vm_progress(struct kind_box *box, enum kind_progress what, const char *words)
{
	(void)box;
	if (what == KIND_GREETED)
		warm_started();
	else
		warm_spoiled(words);
}

const struct kind kind_vm = {
	.name = "vm",
	.machine = true,
	.prepare = life_prepare,
	.furnish = layer_furnish,
	.start = vm_start,
	.stop = life_stop,
	.destroy = vm_destroy,
	.extend = running_extend_monitored,
	.repin = running_repin_monitored,
	.open_gateway = running_open_gateway,
	.widen_gateway = running_widen_gateway,
	.progress = vm_progress,
	.sweep = view_sweep,
	.drop = view_drop,
};
