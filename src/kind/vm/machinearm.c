/* What was measured (QEMU 7.2, TCG on x86-64, Debian's kernel 6.1.0-56 as its plain Image, 1 processor, 512 MiB, to the
 * panic for want of a root, in seconds of processor time):
 *     -cpu max 3.5   max,pauth-impdef=on 1.1   max,pauth=off 0.85   cortex-a57 0.85   cortex-a76, neoverse-n1 0.95
 * The kernel signs return addresses; QARMA, the algorithm of the architecture, is slow to emulate, QEMU's own is not.
 * It is kept on for the sake of programs that are built for it, and because everything newer is there with "max". */
#include "kind/vm/machinearm.h"

const struct modules_want machinearm_modules[MACHINEARM_MODULES] = {
	{"virtio_pci", true}, {"virtio_console", true}, {"9pnet_virtio", true}, {"9p", true},
	{"overlay", true},    {"virtio_net", true},     {"virtio_rng", false},  {"virtio_blk", false},
};

void machinearm_add(const struct machine *m, struct strv *to)
{
	strv_add(to, "-M");
	if (m->accel == MACHINE_KVM)
		/* The interrupt controller that the host's KVM has. */
		strv_add(to, "virt,accel=kvm,gic-version=host");
	else
		strv_addf(to, "virt,accel=tcg,gic-version=3%s", m->nested ? ",virtualization=on" : "");
	strv_add(to, "-cpu");
	strv_add(to, m->accel == MACHINE_KVM ? "host" : "max,pauth-impdef=on");
}
