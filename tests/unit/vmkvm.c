/* A KVM that is busy, broken or a lie: this program's ioctl() (the linker's --wrap) plays it on a file that stands for
 * /dev/kvm. Its processor's page is another file, in which the probe finds how the machine stopped. */
#include "test.h"

#include "kind/vm/accel.h"
#include "kind/vm/kvmprobe.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

enum { PAGE = 4096, PORT = 0x10 };

static struct {
	unsigned long fails; /* the request that fails */
	int errnum;
	long burn_us; /* processor time of KVM_RUN */
	bool hangs;
	bool silent; /* the machine stops for no reason */
	int version;
} fake;

static int cpu = -1; /* the processor's page */

static long burnt_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int run(void)
{
	struct kvm_run page = {.exit_reason = fake.silent ? KVM_EXIT_SHUTDOWN : KVM_EXIT_IO, .io = {.port = PORT}};
	long end = burnt_us() + fake.burn_us;

	while (fake.hangs)
		(void)pause();
	while (burnt_us() < end)
		;
	return pwrite(cpu, &page, sizeof(page), 0) == (ssize_t)sizeof(page) ? 0 : -1;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (_IOC_TYPE(request) != KVMIO)
		return __real_ioctl(fd, request, arg);
	errno = fake.errnum;
	if (request == fake.fails)
		return -1;
	switch (request) {
	case KVM_GET_API_VERSION:
		return fake.version;
	case KVM_CREATE_VM:
	case KVM_CREATE_VCPU:
		return fcntl(cpu, F_DUPFD_CLOEXEC, 3);
	case KVM_GET_VCPU_MMAP_SIZE:
		return PAGE;
	case KVM_GET_SREGS:
		memset(arg, 0, sizeof(struct kvm_sregs));
		return 0;
	case KVM_RUN:
		return run();
	default:
		return 0;
	}
}

/* What is found out about it. */
static void probe(struct accel_verdict *ret)
{
	_cleanup_free_ char *device = NULL;

	if (cpu < 0) {
		cpu = memfd_create("kvm", MFD_CLOEXEC);
		CHECK(cpu >= 0 && ftruncate(cpu, PAGE) == 0);
	}
	fake.version = fake.version ? fake.version : KVMPROBE_API_VERSION;
	device = xasprintf("/proc/self/fd/%d", cpu);
	accel_probe(device, -1, ret);
	printf("# %s\n", ret->why);
	/* Nothing of a probe is left. */
	CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	fake = (typeof(fake)){0};
}

#if defined(__x86_64__)

TEST(works)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {0};

	probe(&v);
	CHECK(v.usable && v.loop_us >= 0 && v.loop_us <= ACCEL_LOOP_MAX_US);
	CHECK_STR(v.why, "");
}

TEST(busy)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {0};

	fake.fails = KVM_CREATE_VM;
	fake.errnum = EBUSY;
	probe(&v);
	CHECK(!v.usable && strstr(v.why, "held by another hypervisor") && strstr(v.why, "end its machines"));
}

TEST(a_step_fails)
{
	static const struct {
		unsigned long request;
		const char *name;
	} steps[] = {{KVM_CREATE_VM, "KVM_CREATE_VM"},
		     {KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION"},
		     {KVM_CREATE_VCPU, "KVM_CREATE_VCPU"},
		     {KVM_SET_SREGS, "KVM_SET_SREGS"},
		     {KVM_RUN, "KVM_RUN"}};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		_cleanup_accel_verdict_ struct accel_verdict v = {0};

		fake.fails = steps[i].request;
		fake.errnum = ENOMEM;
		probe(&v);
		CHECK(!v.usable && strstr(v.why, steps[i].name) && strstr(v.why, strerror(ENOMEM)));
	}
}

TEST(another_version)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {0};

	fake.version = 11;
	probe(&v);
	CHECK(!v.usable && strstr(v.why, "no KVM of API version 12"));
}

TEST(lies_that_it_is_hardware)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {0};

	fake.burn_us = ACCEL_LOOP_MAX_US + 5000;
	probe(&v);
	CHECK(!v.usable && v.loop_us > ACCEL_LOOP_MAX_US && strstr(v.why, "without hardware behind it"));
}

TEST(lies_that_it_ran)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {0};

	fake.silent = true;
	probe(&v);
	CHECK(!v.usable && strstr(v.why, "stopped without a word"));
}

TEST(never_comes_back)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {0};

	fake.hangs = true;
	probe(&v);
	CHECK(!v.usable && strstr(v.why, "had not ended"));
}

#endif

TEST_MAIN()
