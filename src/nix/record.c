/* Theory of operation: the file is a header, a table of sections, and the sections one behind the other. Every section
 * is a list of NUL-terminated texts; the table holds its bytes and how many texts they must be. So decoding is one
 * walk over the bytes that checks that each section is exactly what the table says, and leaves pointers behind.
 *
 *      0  "IGLOOENV"
 *      8  u32 version       12  u32 number of sections
 *     16  u64 bytes of the whole file
 *     24  u64 XXH64 of everything from byte 32 on
 *     32  key
 *     64  u64 created       72  u32 flags (1: hook)     76  u32 0
 *     80  per section: u32 texts, u32 bytes; then their bytes in the same order
 *
 * All numbers are little-endian. Any change of it raises RECORD_VERSION: a record is made again, never converted. */
#include "nix/record.h"

#include "nix/storepath.h"
#include "sys/file.h"

#include <endian.h>
#include <errno.h>

enum {
	AT_VERSION = 8,
	AT_SECTIONS = 12,
	AT_SIZE = 16,
	AT_SUM = 24,
	AT_KEY = 32,
	AT_CREATED = 64,
	AT_FLAGS = 72,
	AT_TABLE = 80
};
enum {
	SECTION_META,
	SECTION_ENV,
	SECTION_FUNCTIONS,
	SECTION_CLOSURE,
	SECTION_SCRIPT,
	SECTION_ATTRS,
	SECTION_REQUESTS,
	SECTIONS
};
enum { HEADER = AT_TABLE + 8 * SECTIONS, FLAG_HOOK = 1, N_META = 7 };

static const char magic[8] = {'I', 'G', 'L', 'O', 'O', 'E', 'N', 'V'};

/* The closure's texts are store paths behind one letter. */
enum { OWNER_HOST = 'h', OWNER_SLOT = 's' };

static const uint64_t prime[6] = {
	0, 0x9e3779b185ebca87U, 0xc2b2ae3d27d4eb4fU, 0x165667b19e3779f9U, 0x85ebca77c2b2ae63U, 0x27d4eb2f165667c5U};

static uint64_t get64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint32_t get32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static void put64(char *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static void put32(char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static uint64_t rotl(uint64_t v, int n)
{
	return (v << n) | (v >> (64 - n));
}

static uint64_t xxh_round(uint64_t acc, uint64_t lane)
{
	return rotl(acc + lane * prime[2], 31) * prime[1];
}

uint64_t record_checksum(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint64_t h = prime[5];
	size_t left = n;

	if (n >= 32) {
		uint64_t acc[4] = {prime[1] + prime[2], prime[2], 0, 0 - prime[1]};

		for (; left >= 32; left -= 32, p += 32)
			for (int i = 0; i < 4; i++)
				acc[i] = xxh_round(acc[i], get64(p + 8 * i));
		h = rotl(acc[0], 1) + rotl(acc[1], 7) + rotl(acc[2], 12) + rotl(acc[3], 18);
		for (int i = 0; i < 4; i++)
			h = (h ^ xxh_round(0, acc[i])) * prime[1] + prime[4];
	}
	h += n;
	for (; left >= 8; left -= 8, p += 8)
		h = rotl(h ^ xxh_round(0, get64(p)), 27) * prime[1] + prime[4];
	if (left >= 4) {
		h = rotl(h ^ (get32(p) * prime[1]), 23) * prime[2] + prime[3];
		left -= 4;
		p += 4;
	}
	for (; left > 0; left--, p++)
		h = rotl(h ^ (*p * prime[5]), 11) * prime[1];
	h = (h ^ (h >> 33)) * prime[2];
	h = (h ^ (h >> 29)) * prime[3];
	return h ^ (h >> 32);
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static void add_text(struct str *s, const char *text)
{
	str_add(s, or_empty(text), strlen(or_empty(text)) + 1);
}

/* One section: its bytes go to the end of s, and its size into the table. */
static void add_section(struct str *s, int section, char *const *texts, size_t n)
{
	size_t start = s->len;

	for (size_t i = 0; i < n; i++)
		add_text(s, texts[i]);
	put32(s->p + AT_TABLE + 8 * section, (uint32_t)n);
	put32(s->p + AT_TABLE + 8 * section + 4, (uint32_t)(s->len - start));
}

static void add_closure(struct str *s, const struct env_record *rec)
{
	size_t start = s->len;

	for (size_t i = 0; i < rec->n_closure; i++) {
		str_addc(s, rec->closure[i].host ? OWNER_HOST : OWNER_SLOT);
		add_text(s, rec->closure[i].path);
	}
	put32(s->p + AT_TABLE + 8 * SECTION_CLOSURE, (uint32_t)rec->n_closure);
	put32(s->p + AT_TABLE + 8 * SECTION_CLOSURE + 4, (uint32_t)(s->len - start));
}

/* Bytes of the file; -1 when they are more than a record may have (the table's numbers then could not hold them). */
static ssize_t encoded_size(const struct env_record *rec)
{
	const char *texts[] = {rec->shell,      rec->platform, rec->nix_version,      rec->flake_dir,
			       rec->env_path,   rec->bash,     rec->bash_interactive, rec->script,
			       rec->attrs_json, rec->attrs_sh, rec->requests};
	size_t n = HEADER;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		n += strlen(or_empty(texts[i])) + 1;
	for (size_t i = 0; i < rec->n_env; i++)
		n += strlen(rec->env[i]) + 1;
	for (size_t i = 0; i < rec->n_functions; i++)
		n += strlen(rec->functions[i]) + 1;
	for (size_t i = 0; i < rec->n_closure; i++)
		n += strlen(rec->closure[i].path) + 2;
	return n > RECORD_MAX_BYTES ? -1 : (ssize_t)n;
}

static bool env_entry_ok(const char *text)
{
	return *text != '=' && *text && strchr(text, '=');
}

/* Whether it can be a store path: one name below the store. storepath_ok() looks at every letter, which is half of the
 * time a start may spend on its record, so that is for writing; the checksum answers for it until it is read. */
static bool path_fits(const char *path)
{
	size_t prefix = sizeof(STOREPATH_DIR "/") - 1;
	size_t n = strlen(path);

	return n > prefix + STOREPATH_HASH + 1 && n < STOREPATH_SIZE && memcmp(path, STOREPATH_DIR "/", prefix) == 0 &&
	       !memchr(path + prefix, '/', n - prefix);
}

/* NULL, or what is wrong with the lists. */
static const char *check_lists(const struct env_record *rec, bool (*path_ok)(const char *path))
{
	for (size_t i = 0; i < rec->n_env; i++)
		if (!env_entry_ok(rec->env[i]))
			return "an entry of the environment is not NAME=value";
	for (size_t i = 0; i < rec->n_functions; i++)
		if (!*rec->functions[i] || (i > 0 && strcmp(rec->functions[i - 1], rec->functions[i]) >= 0))
			return "its functions are not sorted names";
	for (size_t i = 0; i < rec->n_closure; i++)
		if (!path_ok(rec->closure[i].path) ||
		    (i > 0 && strcmp(rec->closure[i - 1].path, rec->closure[i].path) >= 0))
			return "its closure is not a sorted list of store paths";
	if (*or_empty(rec->env_path) && !path_ok(rec->env_path))
		return "its environment is not a store path";
	return NULL;
}

static char *unconst(const char *text)
{
	union {
		const char *in;
		char *out;
	} u = {.in = text};

	return u.out;
}

int record_encode(const struct env_record *rec, struct str *to, struct err **e)
{
	const char *why = check_lists(rec, storepath_ok);
	ssize_t size = encoded_size(rec);
	_cleanup_str_ struct str s = STR_INIT;

	if (why)
		return err_set(e, EINVAL, "cannot keep the environment record: %s", why);
	if (size < 0)
		return err_set(e, EFBIG, "cannot keep the environment record: more than %d MiB",
			       RECORD_MAX_BYTES >> 20);
	memset(str_room(&s, (size_t)size), 0, HEADER);
	str_grew(&s, HEADER);
	add_section(&s, SECTION_META,
		    (char *[]){unconst(rec->shell), unconst(rec->platform), unconst(rec->nix_version),
			       unconst(rec->flake_dir), unconst(rec->env_path), unconst(rec->bash),
			       unconst(rec->bash_interactive)},
		    N_META);
	add_section(&s, SECTION_ENV, rec->env, rec->n_env);
	add_section(&s, SECTION_FUNCTIONS, rec->functions, rec->n_functions);
	add_closure(&s, rec);
	add_section(&s, SECTION_SCRIPT, (char *[]){unconst(rec->script)}, 1);
	add_section(&s, SECTION_ATTRS, (char *[]){unconst(rec->attrs_json), unconst(rec->attrs_sh)}, 2);
	add_section(&s, SECTION_REQUESTS, (char *[]){unconst(rec->requests)}, 1);
	memcpy(s.p, magic, sizeof(magic));
	put32(s.p + AT_VERSION, RECORD_VERSION);
	put32(s.p + AT_SECTIONS, SECTIONS);
	put64(s.p + AT_SIZE, s.len);
	memcpy(s.p + AT_KEY, rec->key, RECORD_KEY_BYTES);
	put64(s.p + AT_CREATED, rec->created);
	put32(s.p + AT_FLAGS, rec->has_hook ? FLAG_HOOK : 0);
	put64(s.p + AT_SUM, record_checksum(s.p + AT_KEY, s.len - AT_KEY));
	str_add(to, s.p, s.len);
	return 0;
}

int record_write(int dirfd, const char *name, const struct env_record *rec, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;
	int r = record_encode(rec, &s, e);

	if (r < 0)
		return r;
	return file_replace(dirfd, name, s.p, s.len, 0600, true, e);
}

/* NULL, or what is wrong with the header. */
static const char *check_header(const char *bytes, size_t n)
{
	if (n < HEADER || memcmp(bytes, magic, sizeof(magic)) != 0)
		return "it is no environment record";
	if (get32(bytes + AT_VERSION) != RECORD_VERSION)
		return "it is of another version of igloo";
	if (get32(bytes + AT_SECTIONS) != SECTIONS || get64(bytes + AT_SIZE) != n)
		return "it is cut short or has bytes behind its end";
	if (get64(bytes + AT_SUM) != record_checksum(bytes + AT_KEY, n - AT_KEY))
		return "its checksum is wrong";
	if ((get32(bytes + AT_FLAGS) & ~(uint32_t)FLAG_HOOK) || get32(bytes + AT_FLAGS + 4))
		return "it has flags that are not known";
	return NULL;
}

/* Points v[0..count) at the texts of one section, which must fill its bytes exactly. */
static bool split_section(char *p, size_t bytes, size_t count, char **v)
{
	for (size_t i = 0; i < count; i++) {
		char *nul = memchr(p, '\0', bytes);

		if (!nul)
			return false;
		v[i] = p;
		bytes -= (size_t)(nul + 1 - p);
		p = nul + 1;
	}
	return bytes == 0;
}

static bool take_closure(struct env_record *rec, char **texts)
{
	for (size_t i = 0; i < rec->n_closure; i++) {
		if (texts[i][0] != OWNER_HOST && texts[i][0] != OWNER_SLOT)
			return false;
		rec->closure[i] = (struct record_path){.path = texts[i] + 1, .host = texts[i][0] == OWNER_HOST};
	}
	return true;
}

/* Fills *rec from bytes whose header is good; the vectors lie in one block, rec->vectors_. */
static const char *decode_sections(char *bytes, size_t n, struct env_record *rec)
{
	char *meta[N_META] = {0};
	char *single[4] = {0}; /* script, the two attributes, requests */
	char **closure;
	char **into[SECTIONS];
	uint32_t count[SECTIONS];
	size_t at = HEADER;
	size_t texts = 0;

	for (int i = 0; i < SECTIONS; i++) {
		count[i] = get32(bytes + AT_TABLE + 8 * i);
		if (count[i] > get32(bytes + AT_TABLE + 8 * i + 4)) /* a text has at least its NUL */
			return "a section has more texts than bytes";
		texts += count[i];
	}
	if (count[SECTION_META] != N_META || count[SECTION_SCRIPT] != 1 || count[SECTION_ATTRS] != 2 ||
	    count[SECTION_REQUESTS] != 1 || texts > n)
		return "its sections are not what they should be";
	rec->vectors_ = xmalloc((texts + 2) * sizeof(char *) + count[SECTION_CLOSURE] * sizeof(*rec->closure));
	rec->closure = rec->vectors_;
	rec->env = (char **)(rec->closure + count[SECTION_CLOSURE]);
	rec->functions = rec->env + count[SECTION_ENV] + 1;
	closure = rec->functions + count[SECTION_FUNCTIONS] + 1;
	rec->env[count[SECTION_ENV]] = NULL;
	rec->functions[count[SECTION_FUNCTIONS]] = NULL;
	into[SECTION_META] = meta;
	into[SECTION_ENV] = rec->env;
	into[SECTION_FUNCTIONS] = rec->functions;
	into[SECTION_CLOSURE] = closure;
	into[SECTION_SCRIPT] = single;
	into[SECTION_ATTRS] = single + 1;
	into[SECTION_REQUESTS] = single + 3;
	for (int i = 0; i < SECTIONS; i++) {
		size_t size = get32(bytes + AT_TABLE + 8 * i + 4);

		if (size > n - at || !split_section(bytes + at, size, count[i], into[i]))
			return "a section does not hold the texts it should";
		at += size;
	}
	rec->n_env = count[SECTION_ENV];
	rec->n_functions = count[SECTION_FUNCTIONS];
	rec->n_closure = count[SECTION_CLOSURE];
	if (at != n || !take_closure(rec, closure))
		return "its closure is unreadable or has bytes behind it";
	rec->shell = meta[0];
	rec->platform = meta[1];
	rec->nix_version = meta[2];
	rec->flake_dir = meta[3];
	rec->env_path = meta[4];
	rec->bash = meta[5];
	rec->bash_interactive = meta[6];
	rec->script = single[0];
	rec->attrs_json = single[1];
	rec->attrs_sh = single[2];
	rec->requests = single[3];
	return check_lists(rec, path_fits);
}

int record_decode(char *bytes, size_t n, struct env_record *ret, struct err **e)
{
	struct env_record rec = {0};
	const char *why = n > RECORD_MAX_BYTES ? "it is too large" : check_header(bytes, n);

	if (!why)
		why = decode_sections(bytes, n, &rec);
	if (why) {
		free(rec.vectors_);
		return err_set(e, EBADMSG, "environment record: %s", why);
	}
	memcpy(rec.key, bytes + AT_KEY, RECORD_KEY_BYTES);
	rec.created = get64(bytes + AT_CREATED);
	rec.has_hook = get32(bytes + AT_FLAGS) & FLAG_HOOK;
	rec.file_ = bytes;
	*ret = rec;
	return 0;
}

int record_read(int dirfd, const char *name, struct env_record *ret, struct err **e)
{
	_cleanup_close_ int fd = file_open_beneath(dirfd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	_cleanup_free_ char *bytes = NULL;
	struct stat st;
	size_t n = 0;
	int r;

	if (fd < 0)
		return err_errno(e, -fd, "cannot open environment record '%s'", name);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot read environment record '%s'", name);
	if (!S_ISREG(st.st_mode) || st.st_size > RECORD_MAX_BYTES)
		return err_set(e, EBADMSG, "environment record '%s': no regular file, or too large", name);
	bytes = xmalloc((size_t)st.st_size + 1);
	while (n < (size_t)st.st_size) {
		ssize_t k = read(fd, bytes + n, (size_t)st.st_size - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_errno(e, errno, "cannot read environment record '%s'", name);
		if (k == 0)
			break;
		n += (size_t)k;
	}
	r = record_decode(bytes, n, ret, e);
	if (r < 0)
		return err_wrap(e, "'%s'", name);
	(void)take_ptr(bytes);
	return 0;
}

void record_release(struct env_record *rec)
{
	free(rec->file_);
	free(rec->vectors_);
	*rec = (struct env_record){0};
}

bool record_has_function(const struct env_record *rec, const char *name)
{
	size_t low = 0;
	size_t high = rec->n_functions;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = strcmp(name, rec->functions[mid]);

		if (c == 0)
			return true;
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return false;
}
