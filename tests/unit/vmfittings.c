/* What a machine has only when it is asked for, on hosts that are made up of files. */
#include "test.h"

#include "kind/vm/fittings.h"
#include "kind/vm/nested.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>

static char root[] = "/tmp/vmfittings-XXXXXX";

static void put(const char *path, const char *text)
{
	_cleanup_free_ char *full = xasprintf("%s/%s", root, path);
	_cleanup_free_ char *dir = xstrndup(full, (size_t)(strrchr(full, '/') - full));
	_cleanup_close_ int fd = file_make_dirs_abs(dir, 0700, NULL);

	CHECK(fd >= 0 && file_replace(fd, strrchr(full, '/') + 1, text, strlen(text), 0600, false, NULL) == 0);
}

TEST(begin)
{
	CHECK(mkdtemp(root));
}

TEST(nested_emulated)
{
	const char *module = "none";

	/* Whatever the host has. */
	CHECK(nested_module(false, false, "/nonexistent", &module, NULL) == 0);
	CHECK_STR(module, "kvm_amd");
	CHECK(nested_module(true, false, "/nonexistent", &module, NULL) == 0 && !module);
}

TEST(nested_kvm)
{
	_cleanup_err_ struct err *e = NULL;
	const char *module = NULL;

	CHECK(nested_module(true, true, root, &module, &e) == -EOPNOTSUPP);
	err_clear(&e);
	CHECK(nested_module(false, true, root, &module, &e) == -EOPNOTSUPP && strstr(err_message(e), "neither VMX"));
	err_clear(&e);
	put("proc/cpuinfo", "processor : 0\nflags\t\t: fpu vmxnet svm_lock\n");
	CHECK(nested_module(false, true, root, &module, &e) == -EOPNOTSUPP && strstr(err_message(e), "neither VMX"));
	err_clear(&e);
	put("proc/cpuinfo", "processor : 0\nflags\t\t: fpu vmx\nbugs:\n");
	CHECK(nested_module(false, true, root, &module, &e) == -EOPNOTSUPP && strstr(err_message(e), "kvm_intel"));
	err_clear(&e);
	put("sys/module/kvm_intel/parameters/nested", "N\n");
	CHECK(nested_module(false, true, root, &module, &e) == -EOPNOTSUPP);
	err_clear(&e);
	put("sys/module/kvm_intel/parameters/nested", "Y\n");
	CHECK(nested_module(false, true, root, &module, &e) == 0);
	CHECK_STR(module, "kvm_intel");
	put("proc/cpuinfo", "flags : svm lm\n");
	put("sys/module/kvm_amd/parameters/nested", "1\n");
	CHECK(nested_module(false, true, root, &module, &e) == 0);
	CHECK_STR(module, "kvm_amd");
}

static const struct arch *x86(void)
{
	const struct arch *a = NULL;

	CHECK(arch_find("amd64", &a, NULL) == 0);
	return a;
}

TEST(nothing_asked)
{
	const struct box_machine plain = {.nested = false};
	const struct box_machine nested = {.nested = true};
	const struct fittings_host host = {.arch = x86()};
	_cleanup_fittings_ struct fittings f = FITTINGS_INIT;

	CHECK(fittings_plan(&plain, &host, &f, NULL) == 0 && f.n_want == 0 && f.conf.len == 0 && f.argv.n == 0);
	CHECK(fittings_plan(&nested, &host, &f, NULL) == 0 && f.n_want == 1 && f.argv.n == 0);
	CHECK_STR(str_text(&f.conf), "device=kvm\n");
}

TEST(end)
{
	_cleanup_close_ int tmp = file_open_user("/tmp", O_RDONLY | O_DIRECTORY);

	CHECK(file_remove_tree(tmp, root + strlen("/tmp/"), NULL) == 0);
}

TEST_MAIN()
