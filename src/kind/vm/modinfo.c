#include "kind/vm/modinfo.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct section {
	const char *p;
	size_t n;
	uint32_t name;
};

struct elf {
	const uint8_t *p;
	size_t n;
	uint64_t table;
	size_t sections;
};

static bool section_at(const struct elf *f, size_t i, struct section *ret)
{
	Elf64_Shdr sh;
	uint64_t at;
	uint64_t size;

	if (i >= f->sections)
		return false;
	memcpy(&sh, f->p + f->table + i * sizeof(sh), sizeof(sh));
	at = le64toh(sh.sh_offset);
	size = le64toh(sh.sh_size);
	if (le32toh(sh.sh_type) == SHT_NOBITS || at > f->n || size > f->n - at)
		return false;
	*ret = (struct section){(const char *)f->p + at, size, le32toh(sh.sh_name)};
	return true;
}

/* The section .modinfo. */
static bool find_modinfo(const void *bytes, size_t n, struct section *ret)
{
	static const char wanted[] = ".modinfo";
	struct elf f = {.p = bytes, .n = n};
	struct section names;
	Elf64_Ehdr eh;

	if (n < sizeof(eh))
		return false;
	memcpy(&eh, bytes, sizeof(eh));
	f.table = le64toh(eh.e_shoff);
	f.sections = le16toh(eh.e_shnum);
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh.e_ident[EI_DATA] != ELFDATA2LSB || le16toh(eh.e_type) != ET_REL ||
	    le16toh(eh.e_shentsize) != sizeof(Elf64_Shdr) || f.table > n ||
	    f.sections * sizeof(Elf64_Shdr) > n - f.table || !section_at(&f, le16toh(eh.e_shstrndx), &names))
		return false;
	for (size_t i = 0; i < f.sections; i++)
		if (section_at(&f, i, ret) && ret->name < names.n && names.n - ret->name >= sizeof(wanted) &&
		    memcmp(names.p + ret->name, wanted, sizeof(wanted)) == 0)
			return true;
	return false;
}

static void add_names(const char *value, size_t n, struct strv *to)
{
	while (n > 0) {
		const char *comma = memchr(value, ',', n);
		size_t len = comma ? (size_t)(comma - value) : n;

		if (len > 0) {
			char *name = xstrndup(value, len);

			for (char *p = name; *p; p++)
				if (*p == '-')
					*p = '_';
			strv_add_take(to, name);
		}
		value += len;
		n -= len;
		if (n > 0) {
			value++;
			n--;
		}
	}
}

unsigned modinfo_machine(const void *bytes, size_t n)
{
	Elf64_Ehdr eh;

	if (n < sizeof(eh))
		return EM_NONE;
	memcpy(&eh, bytes, sizeof(eh));
	return memcmp(eh.e_ident, ELFMAG, SELFMAG) == 0 && eh.e_ident[EI_DATA] == ELFDATA2LSB ? le16toh(eh.e_machine)
											      : EM_NONE;
}

int modinfo_depends(const void *bytes, size_t n, struct strv *to, struct err **e)
{
	static const char key[] = "depends=";
	struct section info;

	if (!find_modinfo(bytes, n, &info))
		return err_set(e, EBADMSG, "not a 64-bit kernel module");
	while (info.n > 0) {
		size_t len = strnlen(info.p, info.n);

		if (len >= strlen(key) && memcmp(info.p, key, strlen(key)) == 0) {
			add_names(info.p + strlen(key), len - strlen(key), to);
			return 0;
		}
		if (len < info.n)
			len++;
		info.p += len;
		info.n -= len;
	}
	return err_set(e, EBADMSG, "the module does not say what it needs");
}
