/* Kernels, their modules, and initrds: made-up ones, and a real one where IGLOO_TEST_KERNEL names a folder into which
 * a kernel package was unpacked. */
#include "vmkernel.h"
#include "test.h"

#include "fmt/unpack.h"
#include "kind/vm/initrd.h"
#include "kind/vm/kernel.h"
#include "kind/vm/kimage.h"
#include "kind/vm/machine.h"
#include "kind/vm/newc.h"
#include "kind/vm/vmlinux.h"

#include <time.h>
#include <unistd.h>

static char root[] = "/tmp/vmkernel-XXXXXX";
static int top = -1;
static struct vmcache cache;

static const char *const packers[] = {"xz", "gzip", "zstd"};

static char *path_of(const char *name)
{
	return xasprintf("%s/%s", root, name);
}

static double now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

TEST(folder)
{
	CHECK(mkdtemp(root) && (top = file_open_user(root, O_RDONLY | O_DIRECTORY)) >= 0);
	cache.path = path_of("cache");
	cache.dir = file_make_dirs(top, "cache", 0700, NULL);
	CHECK(cache.dir >= 0);
}

TEST(unpack_all)
{
	_cleanup_str_ struct str plain = STR_INIT;

	make_vmlinux(&plain, true, 300000);
	for (size_t i = 0; i < ARRAY_SIZE(packers); i++) {
		_cleanup_str_ struct str in = STR_INIT;
		_cleanup_str_ struct str out = STR_INIT;
		enum unpack_format f;

		if (!packed(packers[i], plain.p, plain.len, &in)) {
			printf("# no %s here\n", packers[i]);
			continue;
		}
		f = unpack_detect(in.p, in.len);
		CHECK_STR(unpack_name(f), packers[i]);
		/* Whatever size is expected, and with more behind it. */
		for (size_t expected = 0; expected < 1000000; expected += 299999) {
			str_clear(&out);
			str_adds(&in, "more");
			CHECK(unpack(f, in.p, in.len, expected, 1 << 20, &out, NULL) == 0);
			CHECK(out.len == plain.len && memcmp(out.p, plain.p, out.len) == 0);
		}
		CHECK(unpack(f, in.p, in.len, 0, plain.len, &out, NULL) == 0 && out.len == 2 * plain.len);
		CHECK(unpack(f, in.p, in.len, 0, plain.len - 1, &out, NULL) == -EFBIG);
		CHECK(unpack(f, in.p, in.len / 2, 0, 1 << 20, &out, NULL) == -EBADMSG);
		memset(in.p + in.len / 3, 0x55, 40);
		CHECK(unpack(f, in.p, in.len, 0, 1 << 20, &out, NULL) == -EBADMSG);
		CHECK(out.len == 2 * plain.len);
	}
	CHECK(unpack(UNPACK_LZ4, "x", 1, 0, 10, &plain, NULL) == -EOPNOTSUPP);
	CHECK(unpack_detect("\x02\x21\x4c\x18zzz", 7) == UNPACK_LZ4 && unpack_detect("BZh", 2) == UNPACK_NONE);
}

/* A bzImage of `plain` at `path`. */
static bool put_bzimage(const char *path, const char *release, const char *packer, const struct str *plain)
{
	_cleanup_str_ struct str in = STR_INIT;
	_cleanup_str_ struct str image = STR_INIT;

	if (!packed(packer, plain->p, plain->len, &in))
		return false;
	make_bzimage(&image, release, in.p, in.len, (uint32_t)plain->len);
	return put(top, path, image.p, image.len);
}

TEST(vmlinux_of_bzimage)
{
	_cleanup_str_ struct str plain = STR_INIT;

	make_vmlinux(&plain, true, 50000);
	for (size_t i = 0; i < ARRAY_SIZE(packers); i++) {
		_cleanup_free_ char *image = path_of(packers[i]);
		_cleanup_free_ char *first = NULL;
		_cleanup_free_ char *second = NULL;
		_cleanup_free_ char *third = NULL;
		_cleanup_str_ struct str got = STR_INIT;

		if (!put_bzimage(packers[i], "6.1.0-1-amd64", packers[i], &plain))
			continue;
		CHECK(vmlinux_get(&cache, image, &first, NULL) == 0);
		CHECK(file_read(cache.dir, strrchr(first, '/') + 1, 1 << 20, &got, NULL) == 0);
		CHECK(got.len == plain.len && memcmp(got.p, plain.p, got.len) == 0);
		CHECK(vmlinux_get(&cache, image, &second, NULL) == 0);
		CHECK_STR(first, second);
		/* Another file of the same name is another kernel. */
		CHECK(put_bzimage(packers[i], "6.1.0-1-amd64", packers[i], &plain));
		CHECK(vmlinux_get(&cache, image, &third, NULL) == 0);
		CHECK(strcmp(first, third) != 0);
	}
}

TEST(vmlinux_zeros)
{
	_cleanup_str_ struct str v = STR_INIT;
	const size_t headers = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr);
	static const char zeros[4096];
	bool pvh = false;
	Elf64_Phdr ph;
	size_t n;

	make_vmlinux(&v, true, 500);
	n = v.len;
	CHECK(v.p[n - 1] != 0);
	str_add(&v, zeros, sizeof(zeros));
	memcpy(&ph, v.p + sizeof(Elf64_Ehdr), sizeof(ph));
	ph.p_offset = headers;
	ph.p_filesz = ph.p_memsz = v.len - headers;
	memcpy(v.p + sizeof(Elf64_Ehdr), &ph, sizeof(ph));
	str_adds(&v, "section headers");
	CHECK(kimage_trim(v.p) == n && kimage_check_vmlinux(v.p, n, &pvh, NULL) == 0 && pvh);
	memcpy(&ph, v.p + sizeof(Elf64_Ehdr), sizeof(ph));
	CHECK(ph.p_filesz == n - headers && ph.p_memsz == n - headers + sizeof(zeros));
}

TEST(vmlinux_bad)
{
	_cleanup_str_ struct str plain = STR_INIT;
	_cleanup_str_ struct str image = STR_INIT;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *path = path_of("bad");
	char *out = NULL;

	CHECK(vmlinux_get(&cache, path, &out, &e) == -ENOENT);
	err_clear(&e);
	CHECK(vmlinux_get(&cache, root, &out, &e) == -EINVAL);
	err_clear(&e);
	CHECK(put_text(top, "bad", "MZ no kernel") && vmlinux_get(&cache, path, &out, &e) == -EBADMSG);
	CHECK(strstr(err_message(e), "not a bzImage"));
	err_clear(&e);
	make_bzimage(&image, "6.1.0", "\x02\x21\x4c\x18 lz4", 8, 100);
	CHECK(put(top, "bad", image.p, image.len) && vmlinux_get(&cache, path, &out, &e) == -EOPNOTSUPP);
	CHECK(strstr(err_message(e), "lz4"));
	err_clear(&e);
	CHECK(put(top, "bad", image.p, image.len - 8) && vmlinux_get(&cache, path, &out, &e) == -EBADMSG);
	CHECK(strstr(err_message(e), "cut short"));
	err_clear(&e);
	make_vmlinux(&plain, false, 10);
	CHECK(put_bzimage("bad", "6.1.0", "gzip", &plain) && vmlinux_get(&cache, path, &out, &e) == -EOPNOTSUPP);
	CHECK(strstr(err_message(e), "PVH") && !out);
}

TEST(vmlinux_itself)
{
	_cleanup_str_ struct str plain = STR_INIT;
	_cleanup_free_ char *path = path_of("vmlinux");
	_cleanup_free_ char *out = NULL;

	make_vmlinux(&plain, true, 10);
	CHECK(put(top, "vmlinux", plain.p, plain.len) && vmlinux_get(&cache, path, &out, NULL) == 0);
	CHECK_STR(out, path);
}

static bool select_is(const char *folder, const struct modules_want *want, size_t n, const char *expected)
{
	_cleanup_modules_set_ struct modules_set set = {.n = 0};
	_cleanup_modules_ struct modules *m = NULL;
	_cleanup_free_ char *path = path_of(folder);
	_cleanup_str_ struct str got = STR_INIT;
	_cleanup_err_ struct err *e = NULL;

	if (modules_open(path, &m, &e) == 0 && modules_select(m, want, n, &set, &e) == 0)
		for (size_t i = 0; i < set.n; i++)
			str_addf(&got, "%s%s", i ? " " : "", set.v[i].name);
	else
		str_addf(&got, "error: %s", err_message(e));
	if (strcmp(str_text(&got), expected) == 0)
		return true;
	printf("# got: %s\n", str_text(&got));
	return false;
}

static const struct modules_want wanted[] = {{"virtio_rng", false}, {"9p", true}, {"ext4", true}, {"none", false}};

TEST(modules_dep)
{
	_cleanup_str_ struct str m = STR_INIT;
	_cleanup_str_ struct str xz = STR_INIT;

	make_module(&m, "");
	CHECK(packed("xz", m.p, m.len, &xz) && put(top, "dep/kernel/9p.ko.xz", xz.p, xz.len));
	CHECK(put_text(top, "dep/modules.dep",
		       "kernel/9p.ko.xz: kernel/fscache.ko kernel/netfs.ko kernel/9pnet.ko\n"
		       "kernel/9pnet.ko:\nkernel/netfs.ko:\n"
		       "kernel/fscache.ko: kernel/netfs.ko\n"
		       "kernel/virtio-rng.ko: kernel/gone.ko\nkernel/gone.ko:\n"));
	CHECK(put_text(top, "dep/modules.builtin", "kernel/fs/ext4/ext4.ko\n"));
	CHECK(put_module(top, "dep/kernel/9pnet.ko", "") && put_module(top, "dep/kernel/netfs.ko", "") &&
	      put_module(top, "dep/kernel/fscache.ko", "") && put_module(top, "dep/kernel/virtio-rng.ko", ""));
	/* virtio_rng is not required, and a file that it needs is not there. */
	CHECK(select_is("dep", wanted, ARRAY_SIZE(wanted), "9pnet netfs fscache 9p"));
	CHECK(unlinkat(top, "dep/modules.builtin", 0) == 0);
	CHECK(select_is("dep", wanted, 2, "9pnet netfs fscache 9p"));
}

TEST(modules_order)
{
	CHECK(put_text(top, "order/modules.order", "kernel/9p.ko\nkernel/9pnet.ko\nkernel/a-ring.ko\nkernel/a.ko\n"));
	CHECK(put_text(top, "order/modules.builtin", "kernel/fs/ext4/ext4.ko\n"));
	CHECK(put_module(top, "order/kernel/9p.ko", "9pnet,a") && put_module(top, "order/kernel/9pnet.ko", "") &&
	      put_module(top, "order/kernel/a-ring.ko", "") && put_module(top, "order/kernel/a.ko", "a-ring"));
	CHECK(select_is("order", wanted, ARRAY_SIZE(wanted), "9pnet a_ring a 9p"));
}

TEST(modules_bad)
{
	_cleanup_free_ char *missing = xasprintf("error: the kernel has no module 'ext4' (in '%s/bad1')", root);
	_cleanup_free_ char *none = xasprintf(
		"error: '%s/bad2' has no list of its modules (modules.dep or modules.order)", root);
	_cleanup_free_ char *circle = xasprintf(
		"error: '9p' needs 'a': 'a' needs '9p': modules in '%s/bad3' need each other in a circle", root);
	_cleanup_free_ char *leaves = xasprintf("error: '%s/bad4/modules.dep': '../9p.ko' is not the path of a module",
						root);

	CHECK(put_text(top, "bad1/modules.dep", "9p.ko:\n") && put_module(top, "bad1/9p.ko", ""));
	CHECK(select_is("bad1", wanted, ARRAY_SIZE(wanted), missing));
	CHECK(put_text(top, "bad2/x", "") && select_is("bad2", wanted, 1, none));
	CHECK(put_text(top, "bad3/modules.dep", "9p.ko: a.ko\na.ko: 9p.ko\n") && put_module(top, "bad3/9p.ko", "") &&
	      put_module(top, "bad3/a.ko", ""));
	CHECK(select_is("bad3", wanted, 2, circle));
	CHECK(put_text(top, "bad4/modules.dep", "../9p.ko:\n") && select_is("bad4", wanted, 2, leaves));
}

TEST(newc_bytes)
{
	_cleanup_newc_ struct newc a = NEWC_INIT;
	static const char expected[] = "070701"
				       "00000001"
				       "000081ed"
				       "00000000"
				       "00000000"
				       "00000001"
				       "00000000"
				       "00000003"
				       "00000000"
				       "00000000"
				       "00000000"
				       "00000000"
				       "00000005"
				       "00000000"
				       "init\0\0"
				       "abc\0"
				       "070701"
				       "00000002"
				       "00002180"
				       "00000000"
				       "00000000"
				       "00000001"
				       "00000000"
				       "00000000"
				       "00000000"
				       "00000000"
				       "00000005"
				       "00000001"
				       "0000000c"
				       "00000000"
				       "dev/console\0\0\0";

	newc_add_file(&a, "init", 0755, "abc", 3);
	newc_add_char_device(&a, "dev/console", 0600, 5, 1);
	CHECK(a.to.len == sizeof(expected) - 1 && memcmp(a.to.p, expected, a.to.len) == 0);
	newc_end(&a);
	CHECK(a.to.len == 512 && memcmp(a.to.p + sizeof(expected) - 1, "07070100000000", 14) == 0);
	CHECK(memmem(a.to.p, a.to.len, "TRAILER!!!", 11));
}

static int initrd_of(const char *folder, const char *init, const char *config, char **ret, struct err **e)
{
	_cleanup_modules_ struct modules *m = NULL;
	_cleanup_free_ char *path = path_of(folder);
	struct initrd i = {.init = init,
			   .init_bytes = strlen(init),
			   .config = config,
			   .config_bytes = config ? strlen(config) : 0,
			   .want = wanted,
			   .n_want = ARRAY_SIZE(wanted)};
	int r = modules_open(path, &m, e);

	i.modules = m;
	return r < 0 ? r : initrd_get(&cache, &i, ret, e);
}

TEST(initrds)
{
	_cleanup_free_ char *a = NULL;
	_cleanup_free_ char *b = NULL;
	_cleanup_free_ char *c = NULL;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_str_ struct str bytes = STR_INIT;
	char *none = NULL;

	CHECK(initrd_of("order", "program", "x=1\n", &a, NULL) == 0 &&
	      initrd_of("order", "program", "x=1\n", &b, NULL) == 0);
	CHECK_STR(a, b);
	CHECK(initrd_of("order", "program", "x=2\n", &c, NULL) == 0 && strcmp(a, c) != 0);
	CHECK(file_read(cache.dir, strrchr(a, '/') + 1, 1 << 20, &bytes, NULL) == 0 && bytes.len % 512 == 0);
	CHECK(memmem(bytes.p, bytes.len, "modules/03-9p.ko", 17) && memmem(bytes.p, bytes.len, "igloo.conf\0", 11));
	CHECK(initrd_of("bad1", "program", NULL, &none, &e) == -ENOENT && strstr(err_message(e), "'ext4'"));
}

TEST(compare)
{
	static const char *const rising[] = {"5.10.0-9-amd64", "5.10.0-10-amd64", "6.1.0-rc2", "6.1.0",
					     "6.1.0-56-amd64", "6.1.12",          "6.12.3",    "6.12.3-cloud"};

	for (size_t i = 0; i < ARRAY_SIZE(rising); i++)
		for (size_t k = 0; k < ARRAY_SIZE(rising); k++)
			CHECK((kernel_compare(rising[i], rising[k]) > 0) == (i > k) &&
			      (kernel_compare(rising[i], rising[k]) == 0) == (i == k));
}

/* A kernel package below the test's folder, with a module of 9p or without. */
static bool put_package(const char *folder, const char *image, const char *release, bool whole)
{
	_cleanup_free_ char *file = xasprintf("%s/%s", folder, image);
	_cleanup_free_ char *list = xasprintf("%s/lib/modules/%s/modules.dep", folder, release);
	_cleanup_free_ char *module = xasprintf("%s/lib/modules/%s/9p.ko", folder, release);
	_cleanup_str_ struct str plain = STR_INIT;

	make_vmlinux(&plain, true, 10);
	return put_bzimage(file, release, "gzip", &plain) && put_text(top, list, whole ? "9p.ko:\n" : "") &&
	       (!whole || put_module(top, module, ""));
}

TEST(find)
{
	_cleanup_free_ char *host = path_of("host");
	_cleanup_free_ char *store = path_of("store-kernel");
	_cleanup_free_ char *named = path_of("host/boot/vmlinuz-6.1.0-1-amd64");
	char *paths[] = {store, NULL};
	struct kernel_search s = {.arch = archs[0], .root = host, .cache = &cache, .want = wanted + 1, .n_want = 1};
	_cleanup_kernel_ struct kernel a = {0};
	_cleanup_kernel_ struct kernel b = {0};
	_cleanup_kernel_ struct kernel c = {0};
	_cleanup_kernel_ struct kernel d = {0};
	_cleanup_err_ struct err *e = NULL;

	CHECK(kernel_find(&s, &a, &e) == -ENOENT && strstr(err_message(e), "there is no kernel"));
	err_clear(&e);
	/* The newest has no 9p: it is named when there is no other, and passed over when there is. */
	CHECK(put_package("host", "boot/vmlinuz-6.1.0-1-cloud-amd64", "6.1.0-1-cloud-amd64", false));
	CHECK(kernel_find(&s, &a, &e) == -ENOENT && strstr(err_details(e), "has no module 9p") &&
	      strstr(err_hints(e), "cloud"));
	err_clear(&e);
	CHECK(put_package("host", "boot/vmlinuz-6.1.0-1-amd64", "6.1.0-1-amd64", true));
	CHECK(kernel_find(&s, &a, &e) == 0);
	CHECK_STR(a.release, "6.1.0-1-amd64");
	CHECK_STR(a.from, "system");
	CHECK(put_package("cache/debian", "boot/vmlinuz-6.1.0-10-amd64", "6.1.0-10-amd64", true));
	CHECK(kernel_find(&s, &b, &e) == 0);
	CHECK_STR(b.from, "cache");
	CHECK(put_package("store-kernel", "bzImage", "6.12.1", true));
	s.store_paths = paths;
	CHECK(kernel_find(&s, &c, &e) == 0);
	CHECK_STR(c.from, "store");
	CHECK(str_ends(c.image, "/store-kernel/bzImage") && str_ends(c.modules, "/store-kernel/lib/modules/6.12.1"));
	s.user = named;
	CHECK(kernel_find(&s, &d, &e) == 0);
	CHECK_STR(d.release, "6.1.0-1-amd64");
	kernel_release(&d);
	s.user = "/nonexistent";
	CHECK(kernel_find(&s, &d, &e) == -ENOENT && strstr(err_message(e), "--kernel /nonexistent"));
}

/* The real one. */
TEST(real)
{
	const char *folder = getenv("IGLOO_TEST_KERNEL");
	struct kernel_search s = {
		.arch = archs[0], .user = folder, .root = "", .want = machine_modules, .n_want = MACHINE_MODULES};
	_cleanup_kernel_ struct kernel k = {0};
	_cleanup_modules_ struct modules *m = NULL;
	_cleanup_err_ struct err *e = NULL;
	struct initrd i = {.init = "x", .init_bytes = 1, .want = machine_modules, .n_want = MACHINE_MODULES};

	if (!folder)
		test_lacks = "a kernel package (IGLOO_TEST_KERNEL)";
	for (int round = 0; folder && round < 2; round++) {
		_cleanup_free_ char *vmlinux = NULL;
		_cleanup_free_ char *initrd = NULL;
		double t[4] = {now_ms()};

		modules_free(m);
		m = NULL;
		kernel_release(&k);
		CHECK(kernel_find(&s, &k, &e) == 0);
		t[1] = now_ms();
		CHECK(vmlinux_get(&cache, k.image, &vmlinux, &e) == 0);
		t[2] = now_ms();
		CHECK(modules_open(k.modules, &m, &e) == 0);
		i.modules = m;
		CHECK(initrd_get(&cache, &i, &initrd, &e) == 0);
		t[3] = now_ms();
		printf("# %s: found in %.1f ms, vmlinux %.1f ms, initrd %.1f ms\n", k.release, t[1] - t[0], t[2] - t[1],
		       t[3] - t[2]);
	}
}

TEST(end)
{
	_cleanup_free_ char *name = xstrdup(strrchr(root, '/') + 1);
	_cleanup_close_ int tmp = file_open_user("/tmp", O_RDONLY | O_DIRECTORY);

	CHECK(file_remove_tree(tmp, name, NULL) == 0);
}

TEST_MAIN()
