#include "kind/vm/vmsize.h"

#include "kind/vm/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

enum {
	MEMORY_MIB = 4096, /* at most, and at most half of what this machine has */
	CPUS = 4,
	MIB = 1 << 20,
};

static uint64_t host_memory_mib(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / MIB;
}

uint64_t vmsize_memory_mib(const struct box_spec *spec)
{
	uint64_t half = host_memory_mib() / 2;

	if (spec->limits.memory)
		return spec->limits.memory / MIB;
	return half < MEMORY_MIB ? half : MEMORY_MIB;
}

/* A machine's processes would be killed for want of it, or QEMU. */
int vmsize_check(const struct box_spec *spec, struct err **e)
{
	uint64_t host = host_memory_mib();
	uint64_t m = vmsize_memory_mib(spec);

	if (m < MACHINE_MEMORY_MIN_MIB || m > host)
		return err_set(e, EINVAL,
			       "a machine with %" PRIu64 " MiB of memory: %d to %" PRIu64 " are possible on this host",
			       m, MACHINE_MEMORY_MIN_MIB, host);
	return 0;
}

unsigned vmsize_cpus(const struct box_spec *spec)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (spec->limits.cpu_milli)
		return (unsigned)((spec->limits.cpu_milli + 999) / 1000);
	return online > CPUS ? CPUS : online < 1 ? 1 : (unsigned)online;
}
