#include "net/hostname.h"

#include "base/str.h"
#include "sys/library.h"

#include <errno.h>
#include <idn2.h>

/* A label of 63 octets holds fewer than 63 characters of at most 4 bytes. */
enum { UNICODE_BYTES_MAX = 4 * (HOSTNAME_MAX + 1) };

/* libidn2's functions; to_ascii is set last, when all are there. */
static struct {
	__typeof__(idn2_to_ascii_8z) *to_ascii;
	__typeof__(idn2_strerror) *strerror;
	__typeof__(idn2_free) *free;
} idn;

/* Where in a text (from 0) something is wrong with it. */
struct fault {
	size_t at;
	const char *why;
};

static int fault_set(struct fault *f, size_t at, const char *why)
{
	*f = (struct fault){at, why};
	return -EINVAL;
}

static int load(struct err **e)
{
	static const struct library libidn2 = {
		.what = "international names",
		.names = {"libidn2.so.0"},
		.hint = "install libidn2 (Debian: libidn2-0), or write the name as its A-labels (xn--...)",
	};
	static const struct library_function functions[] = {
		{"idn2_strerror", &idn.strerror},
		{"idn2_free", &idn.free},
		{"idn2_to_ascii_8z", &idn.to_ascii},
	};

	return idn.to_ascii ? 0 : library_load(&libidn2, functions, ARRAY_SIZE(functions), e);
}

static char lower(char c)
{
	if (c >= 'A' && c <= 'Z')
		c = (char)(c - 'A' + 'a');
	return c;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads a label in lower case as inet_aton(3) reads a part of an address: decimal and octal, or hexadecimal. "08" and
 * "0x" count too: there are programs that take them (https://url.spec.whatwg.org/, "ends-in-a-number checker"). */
static bool is_number(const char *label, size_t n)
{
	bool hex = n >= 2 && label[0] == '0' && label[1] == 'x';

	for (size_t i = hex ? 2 : 0; i < n; i++)
		if (!is_digit(label[i]) && !(hex && label[i] >= 'a' && label[i] <= 'f'))
			return false;
	return true;
}

static const char *why_not(unsigned char c)
{
	if (c == '\0')
		return "a NUL in a name";
	if (c == ' ' || c == '\t')
		return "a blank in a name";
	if (c < ' ' || c == 0x7f)
		return "a control character in a name";
	if (c == '*')
		return "'*' stands only at the beginning, as '*.'";
	return "only letters, digits, '-', '_' and '.' are in a name";
}

/* The n bytes of `name`, lowered, without the trailing dot, label by label. */
static int check_labels(const char *name, size_t n, struct fault *f)
{
	size_t from = 0;

	if (n == 0)
		return fault_set(f, 0, "an empty name");
	for (size_t to = 0; to <= n; to++) {
		if (to < n && name[to] != '.')
			continue;
		if (from == to)
			return fault_set(f, from, "an empty label");
		if (name[from] == '-')
			return fault_set(f, from, "a label begins with '-'");
		if (name[to - 1] == '-')
			return fault_set(f, to - 1, "a label ends with '-'");
		from = to + 1;
	}
	return 0;
}

/* The characters below 0x80, lowered to `ret`, which has room for n. */
static int lower_ascii(const char *text, size_t n, char *ret, struct fault *f)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		ret[i] = lower(text[i]);
		if (c < 0x80 && c != '-' && c != '_' && c != '.' && !is_digit(ret[i]) && (ret[i] < 'a' || ret[i] > 'z'))
			return fault_set(f, i, why_not(c));
	}
	return 0;
}

/* As check_labels(), of a name that is all ASCII. */
static int check_name(const char *name, size_t n, struct fault *f)
{
	size_t from = 0;
	int r = check_labels(name, n, f);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (name[i] == '.')
			from = i + 1;
		else if (i - from == HOSTNAME_LABEL_MAX)
			return fault_set(f, i, "a label of more than 63 characters");
	}
	if (n > HOSTNAME_MAX)
		return fault_set(f, HOSTNAME_MAX, "a name of more than 253 characters");
	if (is_number(name + from, n - from))
		return fault_set(f, from,
				 "the last label is a number, as in an address written short: write it in full");
	return 0;
}

static size_t count_dots(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == '.';
	return n;
}

/* The name with its U-labels (from `first` on there are some) as A-labels. IDNA 2008 as it is, without the mappings of
 * UTS #46: those make one name of many ("ｅxample。org"). The same characters composed otherwise (NFC) are no other
 * name. */
static int to_ascii(const char *name, size_t first, char ret[HOSTNAME_MAX + 1], struct fault *f, struct err **e)
{
	char *ascii = NULL;
	size_t n;
	/* libidn2 leaves hyphens to UTS #46 and lets empty labels through. */
	int r = check_labels(name, strlen(name), f);

	if (r == 0)
		r = load(e);
	if (r < 0)
		return r;
	r = idn.to_ascii(name, &ascii, IDN2_NFC_INPUT | IDN2_NO_TR46);
	if (r != IDN2_OK)
		return fault_set(f, first, idn.strerror(r));
	n = strlen(ascii);
	if (n > HOSTNAME_MAX) {
		r = fault_set(f, first, "a name of more than 253 characters, as A-labels");
	} else if (lower_ascii(ascii, n, ret, f) < 0 || count_dots(ascii) != count_dots(name)) {
		r = fault_set(f, first, "a character that is read as another one");
	} else {
		ret[n] = '\0';
		r = check_name(ret, n, f);
		f->at = first;
	}
	idn.free(ascii);
	return r;
}

static int normalise(const char *text, size_t n, char ret[HOSTNAME_MAX + 1], struct fault *f, struct err **e)
{
	char name[UNICODE_BYTES_MAX + 1];
	size_t first;
	int r;

	if (n > 1 && text[n - 1] == '.')
		n--;
	if (n > UNICODE_BYTES_MAX)
		return fault_set(f, HOSTNAME_MAX, "a name of more than 253 characters");
	r = lower_ascii(text, n, name, f);
	if (r < 0)
		return r;
	name[n] = '\0';
	for (first = 0; first < n; first++)
		if ((unsigned char)name[first] >= 0x80)
			return to_ascii(name, first, ret, f, e);
	r = check_name(name, n, f);
	if (r == 0)
		memcpy(ret, name, n + 1);
	return r;
}

int hostname_normalise_part(const char *text, size_t size, size_t from, size_t n, char ret[HOSTNAME_MAX + 1],
			    struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;
	char name[HOSTNAME_MAX + 1];
	struct fault f = {0, NULL};
	int r = normalise(text + from, n, name, &f, e);

	if (r == 0)
		memcpy(ret, name, strlen(name) + 1);
	if (r >= 0 || !f.why)
		return r;
	str_add_printable(&shown, text, size < HOSTNAME_MAX ? size : HOSTNAME_MAX, false);
	return err_set(e, EINVAL, "'%s'%s, position %zu: %s", str_text(&shown), size > HOSTNAME_MAX ? "..." : "",
		       from + f.at + 1, f.why);
}

int hostname_normalise(const char *text, size_t n, char ret[HOSTNAME_MAX + 1], struct err **e)
{
	return hostname_normalise_part(text, n, 0, n, ret, e);
}
