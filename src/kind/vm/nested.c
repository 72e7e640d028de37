#include "kind/vm/nested.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Of /proc/cpuinfo the first processor is enough; with many flags it has some 2000 bytes. */
enum { CPUINFO_BYTES = 8192 };

static const struct {
	const char *flag; /* of /proc/cpuinfo, with the spaces around it */
	const char *module;
} kinds[] = {{" svm ", "kvm_amd"}, {" vmx ", "kvm_intel"}};

/* The beginning of a file, as text; empty where there is none. */
static void read_text(const char *root, const char *path, char *buf, size_t size)
{
	_cleanup_free_ char *full = xasprintf("%s%s", root, path);
	_cleanup_close_ int fd = file_open_user(full, O_RDONLY | O_NOCTTY);
	size_t at = 0;
	ssize_t n;

	while (fd >= 0 && at < size - 1 && (n = read(fd, buf + at, size - 1 - at)) > 0)
		at += (size_t)n;
	buf[at] = '\0';
	for (char *p = buf; *p; p++)
		if (*p == '\n')
			*p = ' ';
}

/* Whether the host's module gives it to its guests: "Y" or "1"; kernels before 3.x know nothing else than "0". */
static bool is_given(const char *root, const char *module)
{
	_cleanup_free_ char *path = xasprintf("/sys/module/%s/parameters/nested", module);
	char text[8];

	read_text(root, path, text, sizeof(text));
	return *text == 'Y' || *text == '1';
}

static int host_module(const char *root, const char **ret_module, struct err **e)
{
	_cleanup_free_ char *cpuinfo = xmalloc(CPUINFO_BYTES);

	read_text(root, "/proc/cpuinfo", cpuinfo, CPUINFO_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strstr(cpuinfo, kinds[i].flag))
			continue;
		*ret_module = kinds[i].module;
		if (is_given(root, kinds[i].module))
			return 0;
		(void)err_set(e, EOPNOTSUPP, "--nested: this host does not let its machines have machines (%s)",
			      kinds[i].module);
		return err_hint(e, "load the module so: modprobe -r %s && modprobe %s nested=1", kinds[i].module,
				kinds[i].module);
	}
	return err_set(e, EOPNOTSUPP, "--nested: this host's processor shows neither VMX nor SVM");
}

int nested_module(bool aarch64, bool kvm, const char *root, const char **ret_module, struct err **e)
{
	if (aarch64 && kvm) {
		(void)err_set(e, EOPNOTSUPP, "--nested: not with KVM on aarch64");
		return err_hint(e, "emulated it can be, slowly: --accel tcg");
	}
	*ret_module = aarch64 ? NULL : "kvm_amd";
	return !aarch64 && kvm ? host_module(root, ret_module, e) : 0;
}
