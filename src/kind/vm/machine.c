/* What was measured (QEMU 7.2, TCG, Debian's kernel 6.1, in processor time of QEMU until its end, which a busy host
 * disturbs less; docs/kernels.md has it all): q35 with a vmlinux 1.9 s, with cryptomgr's self-tests 2.2 s, as a bzImage
 * 4.8 s. microvm is no faster there and hangs without tsc_early_khz=; pc, qboot, other CPUs and a dozen arguments of
 * the kernel make no difference beyond the noise. */
#include "kind/vm/machine.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

const struct modules_want machine_modules[MACHINE_MODULES] = {
	{"virtio_pci", true}, {"virtio_mmio", true}, {"virtio_console", true}, {"9pnet_virtio", true}, {"9p", true},
	{"overlay", true},    {"virtio_net", true},  {"virtio_rng", false},    {"virtio_blk", false},
};

/* In a value of -fsdev and the like a comma is written twice. */
static void add_value(struct str *s, const char *text)
{
	for (; *text; text++) {
		if (*text == ',')
			str_addc(s, ',');
		str_addc(s, *text);
	}
}

static void add2(struct strv *to, const char *option, const char *value)
{
	strv_add(to, option);
	strv_add(to, value);
}

static bool is_microvm(const struct machine *m)
{
	return m->accel == MACHINE_KVM && m->arch->add_machine == machine_add_x86;
}

/* A device of the machine's transport. */
static const char *transport(const struct machine *m)
{
	return is_microvm(m) ? "device" : "pci";
}

static bool word_ok(const char *s, size_t max)
{
	size_t n = strlen(s);

	for (const char *p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
			return false;
	return n > 0 && n <= max;
}

/* vhost-user: the other process works in the machine's memory. */
static void add_virtiofs(const struct machine *m, const struct machine_share *s, size_t i, struct strv *to)
{
	strv_add(to, "-chardev");
	strv_addf(to, "socket,id=share%zu,fd=%d", i, s->virtiofsd);
	strv_add(to, "-device");
	strv_addf(to, "vhost-user-fs-%s,chardev=share%zu,tag=%s,queue-size=1024", transport(m), i, s->tag);
}

static bool shares_memory(const struct machine *m)
{
	for (size_t i = 0; i < m->n_shares; i++)
		if (m->shares[i].virtiofsd)
			return true;
	return false;
}

static int add_shares(const struct machine *m, struct strv *to, struct err **e)
{
	if (m->n_shares > MACHINE_SHARES_MAX)
		return err_set(e, E2BIG, "more than %d shares", MACHINE_SHARES_MAX);
	for (size_t i = 0; i < m->n_shares; i++) {
		const struct machine_share *s = &m->shares[i];
		_cleanup_str_ struct str value = STR_INIT;

		if (!word_ok(s->tag, MACHINE_TAG_MAX) || *s->path != '/')
			return err_set(e, EINVAL, "share '%s' of '%s' cannot be", s->tag, s->path);
		if (s->virtiofsd) {
			add_virtiofs(m, s, i, to);
			continue;
		}
		str_addf(&value, "local,id=share%zu,multidevs=remap,security_model=%s%s,path=", i,
			 s->mapped ? "mapped-xattr" : "none", s->read_only ? ",readonly=on" : "");
		add_value(&value, s->path);
		add2(to, "-fsdev", str_text(&value));
		strv_add(to, "-device");
		strv_addf(to, "virtio-9p-%s,fsdev=share%zu,mount_tag=%s", transport(m), i, s->tag);
	}
	return 0;
}

static int add_ports(const struct machine *m, struct strv *to, struct err **e)
{
	if (!m->n_ports)
		return 0;
	strv_add(to, "-device");
	strv_addf(to, "virtio-serial-%s,max_ports=%zu", transport(m), m->n_ports + 1); /* port 0 is a console's */
	for (size_t i = 0; i < m->n_ports; i++) {
		if (!word_ok(m->ports[i].name, 64) || m->ports[i].fd < 0)
			return err_set(e, EINVAL, "port '%s' cannot be", m->ports[i].name);
		strv_add(to, "-chardev");
		strv_addf(to, "socket,id=port%zu,fd=%d", i, m->ports[i].fd);
		strv_add(to, "-device");
		strv_addf(to, "virtserialport,chardev=port%zu,name=%s,nr=%zu", i, m->ports[i].name, i + 1);
	}
	return 0;
}

/* A full file system on the host is an error that the machine sees (werror=report): else QEMU would stop it, and nobody
 * would know. What a machine gives up, or fills with zeros, the host gets back. A flush is one: no cache=unsafe. */
static int add_disks(const struct machine *m, struct strv *to, struct err **e)
{
	for (size_t i = 0; i < m->n_disks; i++) {
		const struct machine_disk *d = &m->disks[i];

		if (!word_ok(d->serial, MACHINE_SERIAL_MAX) || d->fd < 3)
			return err_set(e, EINVAL, "disk '%s' cannot be", d->serial);
		strv_add(to, "-add-fd");
		strv_addf(to, "fd=%d,set=%zu", d->fd, i + 1);
		strv_add(to, "-blockdev");
		strv_addf(to,
			  "driver=raw,node-name=disk%zu,read-only=%s,discard=unmap,detect-zeroes=%s,"
			  "file.driver=file,file.filename=/dev/fdset/%zu,file.locking=on,file.aio=threads",
			  i, d->read_only ? "on" : "off", d->read_only ? "off" : "unmap", i + 1);
		strv_add(to, "-device");
		strv_addf(to, "virtio-blk-%s,drive=disk%zu,serial=%s,werror=report,rerror=report", transport(m), i,
			  d->serial);
	}
	return 0;
}

static void add_net(const struct machine *m, struct strv *to)
{
	if (!m->netdev)
		return;
	strv_add(to, "-netdev");
	strv_addf(to, "%s,id=net0", m->netdev);
	strv_add(to, "-device");
	/* No option ROM: nobody boots from it, and the firmware would run it. */
	strv_addf(to, "virtio-net-%s,netdev=net0%s%s%s", transport(m),
		  is_microvm(m) ? "" : ",romfile=", m->mac ? ",mac=" : "", m->mac ? m->mac : "");
}

/* For diagnosis, and the machine's monitor. */
static void add_console(const struct machine *m, struct strv *to)
{
	if (m->console >= 0) {
		strv_add(to, "-chardev");
		strv_addf(to, "file,id=console,path=/proc/self/fd/%d", m->console);
		add2(to, "-serial", "chardev:console");
	}
	if (m->monitor >= 0) {
		strv_add(to, "-chardev");
		strv_addf(to, "socket,id=monitor,fd=%d", m->monitor);
		add2(to, "-mon", "chardev=monitor,mode=control");
	}
}

void machine_add_x86(const struct machine *m, struct strv *to)
{
	if (m->accel == MACHINE_KVM) {
		strv_add(to, "-M");
		strv_addf(to, "microvm,accel=kvm,acpi=on,rtc=on,pcie=%s,x-option-roms=off%s", m->pci ? "on" : "off",
			  m->console >= 0 ? "" : ",isa-serial=off");
		add2(to, "-cpu", m->nested ? "host" : "host,-vmx,-svm");
	} else {
		add2(to, "-M", "q35,accel=tcg,sata=off,usb=off,smbus=off");
		/* With five levels of page tables a bzImage that QEMU 7.2 emulates has a kernel with broken paths. */
		add2(to, "-cpu", m->nested ? "max,-la57" : "max,-la57,-vmx,-svm");
	}
}

static void add_machine(const struct machine *m, struct strv *to)
{
	uint64_t mib = m->memory_mib == 2048 ? 2049 : m->memory_mib;

	m->arch->add_machine(m, to);
	strv_add(to, "-smp");
	strv_addf(to, "%u", m->cpus);
	strv_add(to, "-m");
	strv_addf(to, "%" PRIu64 "M", mib);
	if (shares_memory(m)) {
		strv_add(to, "-object");
		strv_addf(to, "memory-backend-memfd,id=memory,size=%" PRIu64 "M,share=on", mib);
		add2(to, "-M", "memory-backend=memory");
	}
	if (m->rng) {
		strv_add(to, "-device");
		strv_addf(to, "virtio-rng-%s", transport(m));
	}
}

/* An emulated machine on a busy host misses the ticks that the kernel waits for when it tries the timer's wiring ("8254
 * timer not connected to IO-APIC"), falls back to worse, and in the end panics. By KVM it leaves that out by itself
 * (kvm_guest_init() of arch/x86/kernel/kvm.c). Only x86 has it. */
static const char *timer(const struct machine *m)
{
	return m->accel == MACHINE_KVM || m->arch->elf_machine != EM_X86_64 ? "" : " no_timer_check";
}

static void add_kernel(const struct machine *m, struct strv *to)
{
	add2(to, "-kernel", m->kernel);
	add2(to, "-initrd", m->initrd);
	strv_add(to, "-append");
	strv_addf(to, "%s%s%s panic=-1%s cryptomgr.notests%s%s%s", m->console >= 0 ? "console=" : "",
		  m->console >= 0 ? m->arch->console : "",
		  m->console < 0 ? "quiet"
		  : m->verbose   ? ""
				 : " quiet",
		  m->arch->append, timer(m), m->append ? " " : "", m->append ? m->append : "");
}

int machine_argv(const struct machine *m, struct strv *to, struct err **e)
{
	int r;

	if (m->cpus < 1 || m->cpus > MACHINE_CPUS_MAX)
		return err_set(e, EINVAL, "%u cpus: 1 to %d are possible", m->cpus, MACHINE_CPUS_MAX);
	if (m->memory_mib < MACHINE_MEMORY_MIN_MIB || m->memory_mib > MACHINE_MEMORY_MAX_MIB)
		return err_set(e, EINVAL, "%" PRIu64 " MiB of memory: %d to %d are possible", m->memory_mib,
			       MACHINE_MEMORY_MIN_MIB, MACHINE_MEMORY_MAX_MIB);
	strv_add(to, m->qemu);
	strv_add(to, "-nodefaults");
	strv_add(to, "-no-user-config");
	strv_add(to, "-no-reboot");
	add2(to, "-display", m->display ? m->display : "none");
	if (m->sandbox)
		add2(to, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	if (m->name) {
		_cleanup_str_ struct str value = STR_INIT;

		str_adds(&value, "guest=");
		add_value(&value, m->name);
		add2(to, "-name", str_text(&value));
	}
	add_machine(m, to);
	add_kernel(m, to);
	add_console(m, to);
	r = add_ports(m, to, e);
	if (r == 0)
		r = add_shares(m, to, e);
	if (r == 0)
		r = add_disks(m, to, e);
	if (r == 0)
		add_net(m, to);
	if (r == 0 && m->more)
		strv_add_all(to, m->more->v);
	return r;
}
