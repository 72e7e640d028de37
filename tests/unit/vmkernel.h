/* Made-up kernels and modules, of the shapes of real ones, in a folder of the test's own. */
#ifndef IGLOO_TESTS_VMKERNEL_H
#define IGLOO_TESTS_VMKERNEL_H

#include "sys/file.h"
#include "sys/spawn.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

/* The bytes by "xz -c", "gzip -c", "zstd -c" of the machine; false where there is no such program. Kernels are packed
 * with these options (Linux scripts/Makefile.lib). */
static inline bool packed(const char *program, const void *bytes, size_t n, struct str *to)
{
	_cleanup_free_ char *file = spawn_find(program, NULL, NULL);
	const char *xz[] = {"xz", "-c", "--check=crc32", NULL};
	const char *other[] = {program, "-c", NULL};
	struct spawn s = {.file = file, .input = bytes, .input_bytes = n, .max_output = 1 << 24};

	s.argv = (char *const *)(uintptr_t)(strcmp(program, "xz") == 0 ? xz : other);
	return file && spawn_check(&s, to, NULL) == 0;
}

/* A vmlinux with one segment, `filler` bytes of it a pattern, and a note of PVH if `pvh`. */
static inline void make_vmlinux(struct str *to, bool pvh, size_t filler)
{
	const Elf64_Ehdr eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			       .e_type = ET_EXEC,
			       .e_machine = EM_X86_64,
			       .e_version = 1,
			       .e_phoff = sizeof(eh),
			       .e_ehsize = sizeof(eh),
			       .e_phentsize = sizeof(Elf64_Phdr),
			       .e_phnum = 2};
	const uint32_t note[] = {4, 4, pvh ? 18 : 17, 0x006e6558, 0x1000000}; /* "Xen" */
	const size_t at = sizeof(eh) + 2 * sizeof(Elf64_Phdr);
	const Elf64_Phdr ph[] = {
		{.p_type = PT_LOAD, .p_offset = 0, .p_filesz = at + sizeof(note) + filler},
		{.p_type = PT_NOTE, .p_offset = at, .p_filesz = sizeof(note)},
	};

	str_add(to, &eh, sizeof(eh));
	str_add(to, ph, sizeof(ph));
	str_add(to, note, sizeof(note));
	for (size_t i = 0; i < filler; i++)
		str_addc(to, (char)(i * i >> 7));
}

/* A bzImage of the release whose payload is `payload` with `size` behind it. */
static inline void make_bzimage(struct str *to, const char *release, const void *payload, size_t n, uint32_t size)
{
	uint8_t head[1024] = {0};
	const uint32_t where[] = {0, (uint32_t)n + 4};

	head[0x1f1] = 1;
	memcpy(head + 0x1fe, "\x55\xaa", 2);
	memcpy(head + 0x202, "HdrS\x0f\x02", 6);
	memcpy(head + 0x20e, "\x80\x01", 2); /* at 0x380 */
	memcpy(head + 0x248, where, sizeof(where));
	(void)snprintf((char *)head + 0x380, 100, "%s (someone@somewhere) #1 SMP", release);
	str_add(to, head, sizeof(head));
	str_add(to, payload, n);
	str_add(to, &size, sizeof(size));
}

/* A module that says it needs `depends`. */
static inline void make_module(struct str *to, const char *depends)
{
	static const char names[] = "\0.modinfo\0.shstrtab";
	_cleanup_free_ char *text = xasprintf("license=GPL%cdepends=%s%cname=x", 0, depends, 0);
	const size_t info = sizeof("license=GPL") + strlen("depends=") + strlen(depends) + sizeof("name=x") + 1;
	const size_t at = sizeof(Elf64_Ehdr);
	const Elf64_Ehdr eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			       .e_type = ET_REL,
			       .e_machine = EM_X86_64,
			       .e_version = 1,
			       .e_shoff = at + info + sizeof(names),
			       .e_ehsize = sizeof(eh),
			       .e_shentsize = sizeof(Elf64_Shdr),
			       .e_shnum = 3,
			       .e_shstrndx = 2};
	const Elf64_Shdr sh[] = {
		{0},
		{.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = at, .sh_size = info},
		{.sh_name = 10, .sh_type = SHT_STRTAB, .sh_offset = at + info, .sh_size = sizeof(names)},
	};

	str_add(to, &eh, sizeof(eh));
	str_add(to, text, info);
	str_add(to, names, sizeof(names));
	str_add(to, sh, sizeof(sh));
}

static inline bool put(int dir, const char *path, const void *bytes, size_t n)
{
	_cleanup_free_ char *parent = xstrndup(path, strrchr(path, '/') ? (size_t)(strrchr(path, '/') - path) : 0);
	_cleanup_close_ int fd = file_make_dirs(dir, parent, 0755, NULL);

	return fd >= 0 && file_replace(dir, path, bytes, n, 0644, false, NULL) == 0;
}

static inline bool put_text(int dir, const char *path, const char *text)
{
	return put(dir, path, text, strlen(text));
}

static inline bool put_module(int dir, const char *path, const char *depends)
{
	_cleanup_str_ struct str m = STR_INIT;

	make_module(&m, depends);
	return put(dir, path, m.p, m.len);
}

#endif
