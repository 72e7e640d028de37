/* Machines of aarch64: which architectures there are, their kernels' images, QEMU's arguments. */
#include "test.h"
#include "vmkernel.h"

#include "kind/vm/initrd.h"
#include "kind/vm/kernel.h"
#include "kind/vm/kimagearm.h"
#include "kind/vm/machinearm.h"
#include "kind/vm/vmlinux.h"
#include "sys/fd.h"

#include <unistd.h>

#define RELEASE "6.1.0-9-arm64"

static char root[] = "/tmp/vmarch-XXXXXX";
static int top = -1;
static struct vmcache cache;

static const struct arch *arm(void)
{
	const struct arch *a = NULL;

	CHECK(arch_find("aarch64", &a, NULL) == 0);
	return a;
}

/* An Image that says it is RELEASE. */
static void make_image(struct str *to)
{
	uint8_t head[64] = {'M', 'Z'};

	memcpy(head + 56, "ARMd", 4);
	str_add(to, head, sizeof(head));
	str_adds(to, "Linux version %s (%s)\nLinux version " RELEASE " (someone@somewhere) #1 SMP\n");
}

/* An EFI program with `n` bytes of a packed Image in it, or fewer than it says. */
static void make_zboot(struct str *to, const void *payload, size_t n, uint32_t claimed)
{
	uint8_t head[80] = {'M', 'Z', 0, 0, 'z', 'i', 'm', 'g', sizeof(head)};

	memcpy(head + 12, &claimed, sizeof(claimed)); /* little-endian, as the machines that run this */
	str_add(to, head, sizeof(head));
	str_add(to, payload, n);
}

TEST(begin)
{
	CHECK(mkdtemp(root) && (top = file_open_user(root, O_RDONLY | O_DIRECTORY)) >= 0);
	cache.path = xasprintf("%s/cache", root);
	cache.dir = file_make_dirs(top, "cache", 0700, NULL);
}

TEST(names)
{
	_cleanup_err_ struct err *e = NULL;
	const struct arch *a = NULL;
	const struct arch *b = NULL;

	CHECK(arch_find(NULL, &a, NULL) == 0 && arch_is_own(a) && a == archs[0]);
	CHECK(arch_find("aarch64", &a, NULL) == 0 && arch_find("arm64", &b, NULL) == 0 && a == b);
	CHECK(arch_find("x86_64", &a, NULL) == 0 && arch_find("amd64", &b, NULL) == 0 && a == b);
	CHECK(arch_find("vax", &a, &e) == -EINVAL && strstr(err_message(e), "x86_64") &&
	      strstr(err_message(e), "aarch64"));
	for (size_t i = 0; archs[i]; i++)
		CHECK(archs[i]->n_modules > 0 && archs[i]->qemu && archs[i]->add_machine && archs[i]->guest_size);
}

TEST(images)
{
	_cleanup_str_ struct str image = STR_INIT;
	_cleanup_str_ struct str zboot = STR_INIT;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *release = NULL;
	struct kimage_payload p;

	make_image(&image);
	CHECK(kimagearm_is_image(image.p, image.len) && !kimagearm_is_packed(image.p, image.len));
	CHECK(!kimagearm_is_image(image.p, 63) && !kimagearm_is_image("", 0));
	release = kimagearm_version(image.p, image.len);
	CHECK_STR(release, RELEASE);
	make_zboot(&zboot, "\x1f\x8b rest", 7, 7);
	CHECK(kimagearm_is_packed(zboot.p, zboot.len) && !kimagearm_is_image(zboot.p, zboot.len));
	CHECK(kimagearm_parse(zboot.p, zboot.len, &p, &e) == 0 && p.at == 80 && p.n == 7 && p.format == UNPACK_GZIP);
	CHECK(kimagearm_parse(zboot.p, zboot.len - 1, &p, &e) == -EBADMSG && strstr(err_message(e), "cut short"));
}

/* As each form it is found, and what QEMU starts is the plain Image. */
TEST(find)
{
	static const char plain[] = "plain/boot/vmlinuz-" RELEASE;
	static const char *const names[] = {plain, "gzip/Image.gz", "zboot/vmlinuz"};
	struct str forms[3] = {STR_INIT, STR_INIT, STR_INIT};

	make_image(&forms[0]);
	if (!packed("gzip", forms[0].p, forms[0].len, &forms[1])) {
		test_lacks = "gzip";
		return;
	}
	make_zboot(&forms[2], forms[1].p, forms[1].len, (uint32_t)forms[1].len);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *folder = xasprintf("%s/%.*s", root, (int)strcspn(names[i], "/"), names[i]);
		_cleanup_free_ char *dep = xasprintf("%s/lib/modules/" RELEASE "/modules.dep",
						     folder + strlen(root) + 1);
		struct kernel_search s = {.arch = arm(), .user = folder, .root = "/nonexistent", .cache = &cache};
		_cleanup_kernel_ struct kernel k = {0};
		_cleanup_str_ struct str started = STR_INIT;
		_cleanup_free_ char *path = NULL;
		_cleanup_close_ int fd = -1;

		CHECK(put(top, names[i], forms[i].p, forms[i].len));
		CHECK(put_text(top, dep, ""));
		CHECK(kernel_find(&s, &k, NULL) == 0);
		CHECK_STR(k.release ? k.release : "", RELEASE);
		CHECK(k.image && vmlinux_get(&cache, k.image, &path, NULL) == 0);
		fd = path ? file_open_user(path, O_RDONLY) : -1;
		CHECK(fd >= 0 && fd_read_all(fd, 1 << 20, &started, NULL) == 0 && started.len == forms[0].len &&
		      memcmp(started.p, forms[0].p, started.len) == 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		str_release(&forms[i]);
}

/* A kernel, or a module, of another architecture than the machine's. */
TEST(mixed)
{
	_cleanup_free_ char *folder = xasprintf("%s/amd", root);
	struct kernel_search s = {.arch = arm(), .user = folder, .root = "/nonexistent", .cache = &cache};
	const struct modules_want want = {"virtio", true};
	_cleanup_str_ struct str image = STR_INIT;
	_cleanup_str_ struct str module = STR_INIT;
	_cleanup_str_ struct str list = STR_INIT;
	_cleanup_modules_ struct modules *m = NULL;
	_cleanup_kernel_ struct kernel k = {0};
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *path = xasprintf("%s/amd/lib/modules/6.1", root);
	_cleanup_free_ char *initrd = NULL;
	struct initrd i = {.init = "x", .init_bytes = 1, .want = &want, .n_want = 1, .elf_machine = EM_AARCH64};

	make_vmlinux(&image, true, 10);
	CHECK(put(top, "amd/vmlinux", image.p, image.len));
	CHECK(kernel_find(&s, &k, &e) == -ENOENT && strstr(err_details(e), "is not an Image for aarch64") &&
	      strstr(err_hints(e), "linux-image-arm64"));
	err_clear(&e);
	make_module(&module, "");
	str_adds(&list, "virtio.ko:\n");
	CHECK(put(top, "amd/lib/modules/6.1/virtio.ko", module.p, module.len));
	CHECK(put(top, "amd/lib/modules/6.1/modules.dep", list.p, list.len));
	CHECK(modules_open(path, &m, NULL) == 0);
	i.modules = m;
	CHECK(initrd_get(&cache, &i, &initrd, &e) == -EBADMSG && strstr(err_message(e), "another architecture"));
	i.elf_machine = EM_X86_64;
	CHECK(initrd_get(&cache, &i, &initrd, NULL) == 0);
}

TEST(arguments)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_strv_ struct strv nested = STRV_INIT;
	_cleanup_strv_ struct strv kvm = STRV_INIT;
	struct machine m = {.arch = arm(),
			    .qemu = "qemu",
			    .cpus = 1,
			    .memory_mib = 512,
			    .kernel = "/k",
			    .initrd = "/i",
			    .netdev = "user",
			    .console = 3,
			    .monitor = -1};

	CHECK(machine_argv(&m, &argv, NULL) == 0 && strv_has(&argv, "virt,accel=tcg,gic-version=3") &&
	      strv_has(&argv, "max,pauth-impdef=on") &&
	      strv_has(&argv, "console=ttyAMA0 quiet panic=-1 cryptomgr.notests") &&
	      strv_has(&argv, "virtio-net-pci,netdev=net0,romfile="));
	m.nested = true;
	CHECK(machine_argv(&m, &nested, NULL) == 0 &&
	      strv_has(&nested, "virt,accel=tcg,gic-version=3,virtualization=on"));
	m.accel = MACHINE_KVM;
	CHECK(machine_argv(&m, &kvm, NULL) == 0 && strv_has(&kvm, "virt,accel=kvm,gic-version=host") &&
	      strv_has(&kvm, "host") && strv_has(&kvm, "virtio-net-pci,netdev=net0,romfile="));
}

TEST(end)
{
	_cleanup_close_ int tmp = file_open_user("/tmp", O_RDONLY | O_DIRECTORY);

	(void)close(top);
	(void)close(cache.dir);
	CHECK(file_remove_tree(tmp, root + strlen("/tmp/"), NULL) == 0);
}

TEST_MAIN()
