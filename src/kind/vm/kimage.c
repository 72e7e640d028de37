#include "kind/vm/kimage.h"

#include <ctype.h>
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

enum {
	SETUP_SECTS = 0x1f1,
	BOOT_FLAG = 0x1fe,
	MAGIC = 0x202,
	PROTOCOL = 0x206,
	VERSION_AT = 0x20e,
	PAYLOAD_OFFSET = 0x248,
	PAYLOAD_LENGTH = 0x24c,
	SECTOR = 512,
	DEFAULT_SETUP_SECTS = 4, /* what 0 means */
	XEN_NOTE_PVH = 18,
	PHDRS_MAX = 256,
	NOTES_MAX = 1024,
};

static uint16_t le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t le32(const uint8_t *p)
{
	return le16(p) | (uint32_t)le16(p + 2) << 16;
}

bool kimage_is_bzimage(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	return n >= KIMAGE_HEAD && le16(p + BOOT_FLAG) == 0xaa55 && memcmp(p + MAGIC, "HdrS", 4) == 0;
}

bool kimage_is_elf(const void *bytes, size_t n)
{
	return n >= SELFMAG && memcmp(bytes, ELFMAG, SELFMAG) == 0;
}

int kimage_parse(const void *bytes, size_t n, struct kimage_payload *ret, struct err **e)
{
	const uint8_t *p = bytes;
	size_t setup;
	size_t at;
	size_t length;

	if (!kimage_is_bzimage(bytes, n))
		return err_set(e, EBADMSG, "not a bzImage");
	if (le16(p + PROTOCOL) < 0x208)
		return err_set(e, EOPNOTSUPP, "boot protocol %u.%02u is too old (2.08 is needed)", p[PROTOCOL + 1],
			       p[PROTOCOL]);
	setup = ((p[SETUP_SECTS] ? p[SETUP_SECTS] : DEFAULT_SETUP_SECTS) + 1u) * SECTOR;
	at = setup + le32(p + PAYLOAD_OFFSET);
	length = le32(p + PAYLOAD_LENGTH);
	if (setup > n || at > n || length > n - at || length < 8)
		return err_set(e, EBADMSG, "the bzImage is cut short: %zu bytes at %zu of %zu", length, at, n);
	*ret = (struct kimage_payload){.at = at, .n = length, .unpacked = le32(p + at + length - 4)};
	ret->format = unpack_detect(p + at, length);
	return 0;
}

/* The word at p, if it is fit to be the name of a folder. */
static char *release_at(const uint8_t *p, size_t n)
{
	size_t len = 0;

	while (len < n && len < KIMAGE_VERSION_MAX && (isalnum(p[len]) || (p[len] && strchr("._+~-", p[len]))))
		len++;
	if (len == 0 || len == n || len == KIMAGE_VERSION_MAX || !isdigit(p[0]) || memmem(p, len, "..", 2))
		return NULL;
	return xstrndup((const char *)p, len);
}

char *kimage_banner(const void *bytes, size_t n)
{
	static const char banner[] = "Linux version ";
	const uint8_t *p = bytes;
	const uint8_t *end = p + n;

	/* Formats for it ("Linux version %s") come before it in some kernels. */
	while ((p = memmem(p, (size_t)(end - p), banner, strlen(banner)))) {
		char *release;

		p += strlen(banner);
		release = release_at(p, (size_t)(end - p));
		if (release)
			return release;
	}
	return NULL;
}

char *kimage_version(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	size_t at;

	if (!kimage_is_bzimage(bytes, n))
		return kimage_is_elf(bytes, n) ? kimage_banner(bytes, n) : NULL;
	at = le16(p + VERSION_AT) + (size_t)SECTOR;
	return at < n ? release_at(p + at, n - at) : NULL;
}

static size_t padded(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* Of the notes in n bytes. */
static bool has_pvh(const uint8_t *p, size_t n)
{
	for (int i = 0; i < NOTES_MAX && n >= 12; i++) {
		size_t name = le32(p);
		size_t desc = le32(p + 4);
		uint32_t type = le32(p + 8);
		size_t step;

		if (name > n - 12 || desc > n - 12)
			return false;
		if (type == XEN_NOTE_PVH && name == 4 && memcmp(p + 12, "Xen", 4) == 0 && desc >= 4)
			return true;
		step = 12 + padded(name) + padded(desc);
		if (step > n)
			return false;
		p += step;
		n -= step;
	}
	return false;
}

int kimage_check_vmlinux(const void *bytes, size_t n, bool *ret_pvh, struct err **e)
{
	const uint8_t *p = bytes;
	bool loads = false;
	bool pvh = false;
	Elf64_Ehdr eh;

	if (n < sizeof(eh) || !kimage_is_elf(bytes, n))
		return err_set(e, EBADMSG, "not an ELF file");
	memcpy(&eh, p, sizeof(eh));
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB ||
	    le16toh(eh.e_machine) != EM_X86_64 || le16toh(eh.e_type) != ET_EXEC)
		return err_set(e, EBADMSG, "not a 64-bit x86 executable");
	eh.e_phoff = le64toh(eh.e_phoff);
	eh.e_phnum = le16toh(eh.e_phnum);
	if (le16toh(eh.e_phentsize) != sizeof(Elf64_Phdr) || eh.e_phnum > PHDRS_MAX || eh.e_phoff > n ||
	    eh.e_phnum * sizeof(Elf64_Phdr) > n - eh.e_phoff)
		return err_set(e, EBADMSG, "its program headers are not in it");
	for (size_t i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr ph;
		uint64_t at;
		uint64_t size;

		memcpy(&ph, p + eh.e_phoff + i * sizeof(ph), sizeof(ph));
		at = le64toh(ph.p_offset);
		size = le64toh(ph.p_filesz);
		if (at > n || size > n - at)
			return err_set(e, EBADMSG, "a segment of it is not in it: it is cut short");
		if (le32toh(ph.p_type) == PT_LOAD)
			loads = true;
		if (le32toh(ph.p_type) == PT_NOTE && has_pvh(p + at, size))
			pvh = true;
	}
	if (!loads)
		return err_set(e, EBADMSG, "nothing in it is to be loaded");
	*ret_pvh = pvh;
	return 0;
}

static size_t headers_end(const Elf64_Ehdr *eh)
{
	size_t end = le64toh(eh->e_phoff) + le16toh(eh->e_phnum) * sizeof(Elf64_Phdr);

	return end > sizeof(*eh) ? end : sizeof(*eh);
}

size_t kimage_trim(void *bytes)
{
	uint8_t *p = bytes;
	Elf64_Ehdr eh;
	size_t last;

	memcpy(&eh, p, sizeof(eh));
	last = headers_end(&eh);
	for (size_t i = 0; i < le16toh(eh.e_phnum); i++) {
		uint8_t *header = p + le64toh(eh.e_phoff) + i * sizeof(Elf64_Phdr);
		Elf64_Phdr ph;
		uint64_t at;
		uint64_t size;

		memcpy(&ph, header, sizeof(ph));
		at = le64toh(ph.p_offset);
		size = le64toh(ph.p_filesz);
		/* Not one that holds the headers which are being changed. */
		if (le32toh(ph.p_type) == PT_LOAD && le64toh(ph.p_memsz) >= size && at >= headers_end(&eh)) {
			while (size > 0 && p[at + size - 1] == 0)
				size--;
			ph.p_filesz = htole64(size);
			memcpy(header, &ph, sizeof(ph));
		}
		if (at + size > last)
			last = at + size;
	}
	eh.e_shoff = 0;
	eh.e_shnum = eh.e_shstrndx = 0;
	memcpy(p, &eh, sizeof(eh));
	return last;
}
