#include "kind/vm/accel.h"

#include "base/str.h"
#include "kind/vm/kvmprobe.h"
#include "sys/file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

static const char *const names[] = {[ACCEL_AUTO] = "auto", [ACCEL_KVM] = "kvm", [ACCEL_TCG] = "tcg"};

static const char cache_name[] = "kvm-probe";
static const char said_name[] = "kvm-said";

int accel_parse(const char *name, enum accel *ret, struct err **e)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum accel)i;
			return 0;
		}
	return err_set(e, EINVAL, "there is no accelerator '%s': auto, kvm or tcg", name);
}

const char *accel_name(enum accel a)
{
	return names[a];
}

void accel_verdict_release(struct accel_verdict *v)
{
	free(v->why);
	v->why = NULL;
}

static int read_boot(struct str *to)
{
	_cleanup_close_ int proc = file_open_user("/proc/sys/kernel/random", O_PATH | O_DIRECTORY);

	return proc < 0 ? proc : file_read(proc, "boot_id", 128, to, NULL);
}

/* What the kept timing is good for: this boot, this kernel, this device. */
static int cache_head(int device, struct str *to)
{
	_cleanup_str_ struct str boot = STR_INIT;
	struct utsname u;
	struct stat st;
	int r = read_boot(&boot);

	if (r < 0 || uname(&u) < 0 || fstat(device, &st) < 0)
		return r < 0 ? r : -EIO;
	str_addf(to, "kvm-probe 1 %.36s %s %s %x %" PRIu64 "\n", str_text(&boot), u.release, u.version,
		 (unsigned)st.st_rdev, (uint64_t)st.st_ino);
	return 0;
}

/* The kept microseconds; -1 when there are none for this head. */
static long load(int dir, const struct str *head)
{
	_cleanup_str_ struct str text = STR_INIT;
	char *end;
	long us;

	if (dir < 0 || file_read(dir, cache_name, 4096, &text, NULL) < 0 || !str_starts(str_text(&text), head->p))
		return -1;
	us = strtol(text.p + head->len, &end, 10);
	return strcmp(end, "\n") == 0 && us >= 0 && us <= ACCEL_PROBE_MAX_MS * 1000L ? us : -1;
}

static void store(int dir, const struct str *head, long us)
{
	_cleanup_str_ struct str text = STR_INIT;

	str_add(&text, head->p, head->len);
	str_addf(&text, "%ld\n", us);
	if (dir >= 0)
		(void)file_replace(dir, cache_name, text.p, text.len, 0600, false, NULL);
}

static char *open_failed(const char *device, int errnum)
{
	switch (errnum) {
	case ENOENT:
		return xasprintf("there is no %s: the processor's virtualisation is off in the firmware, or the module "
				 "kvm_intel or kvm_amd is not loaded, or this is a virtual machine without nested "
				 "virtualisation",
				 device);
	case EACCES:
	case EPERM:
		return xasprintf("%s may not be opened by you: join the group kvm (usermod -aG kvm USER, then log in "
				 "anew)",
				 device);
	case ENODEV:
	case ENXIO:
		return xasprintf("%s is there, and no driver behind it: load the module kvm_intel or kvm_amd", device);
	case EBUSY:
		return xasprintf("%s is held by another hypervisor: end it", device);
	default:
		return xasprintf("%s cannot be opened: %s", device, strerror(errnum));
	}
}

static char *probe_failed(const char *device, const struct kvmprobe *p)
{
	switch (p->errnum) {
	case EBUSY:
		return xasprintf("%s is held by another hypervisor (VirtualBox, VMware): end its machines", device);
	default:
		return xasprintf("%s: %s: %s", device, p->stage, strerror(p->errnum));
	}
}

static void judge(const char *device, long us, struct accel_verdict *ret)
{
	ret->loop_us = us;
	ret->usable = us <= ACCEL_LOOP_MAX_US;
	ret->why = ret->usable ? xstrdup("")
			       : xasprintf("%s runs, but without hardware behind it: a loop that takes under 1 ms took "
					   "%ld.%ld ms%s",
					   device, us / 1000, us % 1000 / 100,
					   us >= ACCEL_PROBE_MAX_MS * 1000L ? " and had not ended" : "");
}

void accel_probe(const char *device, int dir, struct accel_verdict *ret)
{
	_cleanup_close_ int fd = file_open_user(device, O_RDWR);
	_cleanup_str_ struct str head = STR_INIT;
	struct kvmprobe p = {0};
	long us = -1;

	*ret = (struct accel_verdict){.loop_us = -1};
	if (fd < 0) {
		ret->why = open_failed(device, -fd);
		return;
	}
	if (kvmprobe_version(fd) != KVMPROBE_API_VERSION) {
		ret->why = xasprintf("%s is no KVM of API version %d", device, KVMPROBE_API_VERSION);
		return;
	}
	if (cache_head(fd, &head) == 0)
		us = load(dir, &head);
	ret->cached = us >= 0;
	if (us < 0) {
		kvmprobe_run(fd, ACCEL_PROBE_MAX_MS, &p);
		if (p.errnum == ETIMEDOUT) {
			p.loop_us = ACCEL_PROBE_MAX_MS * 1000L;
		} else if (p.errnum) {
			ret->why = probe_failed(device, &p);
			return;
		}
		us = p.loop_us;
		if (head.len)
			store(dir, &head, us);
	}
	judge(device, us, ret);
}

bool accel_is_news(int dir, const char *why)
{
	_cleanup_str_ struct str now = STR_INIT;
	_cleanup_str_ struct str said = STR_INIT;

	if (dir < 0 || read_boot(&now) < 0)
		return true;
	str_adds(&now, why);
	if (file_read(dir, said_name, 4096, &said, NULL) == 0 && strcmp(str_text(&said), now.p) == 0)
		return false;
	(void)file_replace(dir, said_name, now.p, now.len, 0600, false, NULL);
	return true;
}

int accel_choose(enum accel wish, int dir, enum accel *ret, struct accel_verdict *ret_verdict, struct err **e)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {.loop_us = -1};

	if (wish == ACCEL_TCG)
		v.why = xstrdup("");
	else
		accel_probe("/dev/kvm", dir, &v);
	if (wish == ACCEL_KVM && !v.usable) {
		(void)err_set(e, EOPNOTSUPP, "KVM cannot be used: %s", v.why);
		return err_hint(e, "--accel tcg runs the machine without it: slow, and no security boundary");
	}
	*ret = v.usable ? ACCEL_KVM : ACCEL_TCG;
	*ret_verdict = v;
	v.why = NULL;
	return 0;
}
