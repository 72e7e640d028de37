/* Theory of operation. The machine has one processor and 64 KiB of memory, which hold page tables that map the first
 * 2 MiB to themselves, and at CODE
 *
 *         mov  $100000, %ecx
 *     1:  dec  %ecx
 *         jnz  1b
 *         out  %al, $0x10         -> KVM_EXIT_IO
 *
 * The processor starts in 64-bit mode at CODE: a processor that is old or is a virtual one itself may interpret real
 * mode, which would be slow where nothing is wrong. The answer is the processor time of KVM_RUN, which counts the
 * machine's own and not the waiting on a busy host. The whole runs in a child, as a KVM that is not one may not come
 * back. */
#include "kind/vm/kvmprobe.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int kvmprobe_version(int kvm)
{
	int v = ioctl(kvm, KVM_GET_API_VERSION, 0);

	return v < 0 ? -errno : v;
}

#if defined(__x86_64__)

enum {
	MEMORY = 0x10000,
	PML4 = 0x1000,
	PDPT = 0x2000,
	PD = 0x3000,
	CODE = 0x4000,
	ROUNDS = 3,
	FAST_US = 2000,
	HOPELESS_US = 250000,
	PORT = 0x10,
	CR0_PE_PG = 0x80000001u,
	CR4_PAE = 1 << 5,
	EFER_LME_LMA = 1 << 8 | 1 << 10,
	PAGE_PRESENT_WRITE = 3,
	PAGE_LARGE = 1 << 7,
};

static const uint8_t code[] = {0xb9, 0xa0, 0x86, 0x01, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0xe6, PORT};

struct probe {
	struct kvmprobe *result;
	int vm, cpu;
	struct kvm_run *run;
};

static bool failed(struct probe *p, const char *stage, int errnum)
{
	p->result->errnum = errnum ? errnum : EIO;
	(void)snprintf(p->result->stage, sizeof(p->result->stage), "%s", stage);
	return false;
}

static bool make_memory(struct probe *p)
{
	uint8_t *m = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {.memory_size = MEMORY, .userspace_addr = (uintptr_t)m};
	const struct {
		unsigned at;
		uint64_t value;
	} tables[] = {{PML4, PDPT | PAGE_PRESENT_WRITE},
		      {PDPT, PD | PAGE_PRESENT_WRITE},
		      {PD, PAGE_PRESENT_WRITE | PAGE_LARGE}};

	if (m == MAP_FAILED)
		return failed(p, "mmap", errno);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		memcpy(m + tables[i].at, &tables[i].value, sizeof(tables[i].value));
	memcpy(m + CODE, code, sizeof(code));
	if (ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return failed(p, "KVM_SET_USER_MEMORY_REGION", errno);
	return true;
}

static bool make_cpu(struct probe *p, int kvm)
{
	const struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
	struct kvm_segment cs = data;
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_sregs s;

	p->cpu = ioctl(p->vm, KVM_CREATE_VCPU, 0);
	if (p->cpu < 0)
		return failed(p, "KVM_CREATE_VCPU", errno);
	if (size < (int)sizeof(*p->run))
		return failed(p, "KVM_GET_VCPU_MMAP_SIZE", EIO);
	p->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, p->cpu, 0);
	if (p->run == MAP_FAILED)
		return failed(p, "mmap of a processor", errno);
	if (ioctl(p->cpu, KVM_GET_SREGS, &s) < 0)
		return failed(p, "KVM_GET_SREGS", errno);
	cs.selector = 8;
	cs.type = 11;
	cs.db = 0;
	cs.l = 1;
	s.cs = cs;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr3 = PML4;
	s.cr4 |= CR4_PAE;
	s.cr0 |= CR0_PE_PG;
	s.efer |= EFER_LME_LMA;
	if (ioctl(p->cpu, KVM_SET_SREGS, &s) < 0)
		return failed(p, "KVM_SET_SREGS", errno);
	return true;
}

static bool time_loop(struct probe *p, long *ret_us)
{
	const struct kvm_regs regs = {.rip = CODE, .rflags = 2};
	struct timespec a;
	struct timespec b;

	/* Forward again after the OUT, which is not finished before the next KVM_RUN. */
	p->run->exit_reason = KVM_EXIT_UNKNOWN;
	if (ioctl(p->cpu, KVM_SET_REGS, &regs) < 0)
		return failed(p, "KVM_SET_REGS", errno);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	while (ioctl(p->cpu, KVM_RUN, 0) < 0)
		if (errno != EINTR)
			return failed(p, "KVM_RUN", errno);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	if (p->run->exit_reason != KVM_EXIT_IO || p->run->io.port != PORT)
		return failed(p, "the machine stopped without a word", EIO);
	*ret_us = (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
	return true;
}

static void probe(int kvm, struct kvmprobe *ret)
{
	struct probe p = {.result = ret};

	p.vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (p.vm < 0) {
		(void)failed(&p, "KVM_CREATE_VM", errno);
		return;
	}
	if (!make_memory(&p) || !make_cpu(&p, kvm))
		return;
	/* Again only where it may have been the host's doing: caches, a host that is itself a busy machine. */
	for (int i = 0; i < ROUNDS && (i == 0 || (ret->loop_us > FAST_US && ret->loop_us < HOPELESS_US)); i++) {
		long us = 0;

		if (!time_loop(&p, &us))
			return;
		if (i == 0 || us < ret->loop_us)
			ret->loop_us = us;
	}
}

#else

static void probe(int kvm, struct kvmprobe *ret)
{
	/* Not timed on other processors yet: it is believed. */
	(void)kvm;
	ret->loop_us = 0;
}

#endif

static void read_result(int fd, unsigned max_ms, struct kvmprobe *ret)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct kvmprobe got;
	struct timespec start;
	int left = (int)max_ms;
	int n;

	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	while ((n = poll(&p, 1, left)) < 0 && errno == EINTR) {
		struct timespec t;

		(void)clock_gettime(CLOCK_MONOTONIC, &t);
		left = (int)max_ms - (int)((t.tv_sec - start.tv_sec) * 1000 + (t.tv_nsec - start.tv_nsec) / 1000000);
		left = left > 0 ? left : 0;
	}
	if (n == 0)
		ret->errnum = ETIMEDOUT;
	else if (n > 0 && read(fd, &got, sizeof(got)) == (ssize_t)sizeof(got))
		*ret = got;
	else
		ret->errnum = EIO;
}

void kvmprobe_run(int kvm, unsigned max_ms, struct kvmprobe *ret)
{
	_cleanup_close_ int from = -1;
	_cleanup_close_ int to = -1;
	pid_t parent = getpid();
	int pipes[2];
	pid_t pid;

	*ret = (struct kvmprobe){.stage = "the probe's process"};
	if (pipe2(pipes, O_CLOEXEC) < 0) {
		ret->errnum = errno;
		return;
	}
	from = pipes[0];
	to = pipes[1];
	pid = fork();
	if (pid == 0) {
		struct kvmprobe mine = {0};

		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
			probe(kvm, &mine);
		_exit(write(to, &mine, sizeof(mine)) == (ssize_t)sizeof(mine) ? 0 : 1);
	}
	if (pid < 0) {
		ret->errnum = errno;
		return;
	}
	(void)close_fd(take_fd(&to));
	read_result(from, max_ms, ret);
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
