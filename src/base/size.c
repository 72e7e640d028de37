#include "base/size.h"

#include <errno.h>
#include <strings.h>

struct unit {
	const char *suffix;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{"b", 1},         {"k", SIZE_KIB},   {"kb", SIZE_KIB},  {"kib", SIZE_KIB}, {"m", SIZE_MIB},
	{"mb", SIZE_MIB}, {"mib", SIZE_MIB}, {"g", SIZE_GIB},   {"gb", SIZE_GIB},  {"gib", SIZE_GIB},
	{"t", SIZE_TIB},  {"tb", SIZE_TIB},  {"tib", SIZE_TIB}, {NULL, 0},
};

/* In thousandths of a processor. */
static const struct unit cpu_units[] = {
	{"", 1000}, {"cpu", 1000}, {"cpus", 1000}, {"m", 1}, {NULL, 0},
};

/* In milliseconds. */
static const struct unit duration_units[] = {
	{"", 1000}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {"d", 24 * 60 * 60 * 1000}, {NULL, 0},
};

#define CPUS_MAX UINT64_C(128000)
#define DURATION_MAX (UINT64_C(365) * 24 * 60 * 60 * 1000)

static int refuse(struct err **e, int errnum, const char *text, const char *why)
{
	_cleanup_str_ struct str shown = STR_INIT;
	size_t n = strlen(text);

	str_add_printable(&shown, text, n < 64 ? n : 64, false);
	return err_set(e, errnum, "'%s'%s %s", str_text(&shown), n > 64 ? "..." : "", why);
}

/* Digits at p into *ret. Returns what follows them, NULL when there are none or they overflow. */
static const char *digits(const char *p, uint64_t *ret)
{
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return NULL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10U, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return NULL;
	*ret = v;
	return p;
}

/* A number with at most three decimals, in thousandths; returns as digits() does. */
static const char *thousandths(const char *p, uint64_t *ret)
{
	uint64_t whole;
	uint64_t part = 0;
	unsigned int places = 0;

	p = digits(p, &whole);
	if (!p)
		return NULL;
	if (*p == '.') {
		for (p++; *p >= '0' && *p <= '9' && places < 3; p++, places++)
			part = part * 10 + (uint64_t)(*p - '0');
		if (places == 0 || (*p >= '0' && *p <= '9'))
			return NULL;
		for (; places < 3; places++)
			part *= 10;
	}
	if (__builtin_mul_overflow(whole, 1000U, &whole) || __builtin_add_overflow(whole, part, ret))
		return NULL;
	return p;
}

/* milli/1000 * factor. The parts are multiplied apart: 16T in thousandths of bytes would not fit. */
static int scale(uint64_t milli, uint64_t factor, uint64_t *ret)
{
	uint64_t whole;

	if (__builtin_mul_overflow(milli / 1000, factor, &whole) ||
	    __builtin_add_overflow(whole, milli % 1000 * factor / 1000, ret))
		return -ERANGE;
	return 0;
}

static const struct unit *unit_find(const struct unit *units, const char *suffix)
{
	for (; units->suffix; units++)
		if (strcasecmp(units->suffix, suffix) == 0)
			return units;
	return NULL;
}

/* In GiB: what nobody can mean as bytes, and what may be asked for. */
static uint64_t bare_max(uint64_t max)
{
	const uint64_t gib = max / SIZE_GIB;

	return gib < 1 ? 1 : gib < 10000 ? gib : 10000;
}

int size_parse(const char *text, uint64_t min, uint64_t max, uint64_t *ret_bytes, struct err **e)
{
	_cleanup_str_ struct str why = STR_INIT;
	const struct unit *unit;
	const char *rest;
	uint64_t milli;
	uint64_t bytes;

	rest = thousandths(text, &milli);
	if (rest && *rest == '\0') {
		if (milli < 1000 || milli / 1000 > bare_max(max) || (milli / 1000 == bare_max(max) && milli % 1000)) {
			str_addf(&why, "needs a unit: a bare number is GiB, 1 to %llu; write 512M or 8G",
				 (unsigned long long)bare_max(max));
			return refuse(e, ERANGE, text, str_text(&why));
		}
		unit = unit_find(size_units, "g");
	} else {
		unit = rest ? unit_find(size_units, rest) : NULL;
	}
	if (!unit)
		return refuse(e, EINVAL, text, "is not a size: write 512M, 8G, 8GiB, or 8 for 8 GiB");
	if (scale(milli, unit->factor, &bytes) < 0 || bytes < min || bytes > max) {
		str_adds(&why, "is out of range: ");
		size_add(&why, min);
		str_adds(&why, " to ");
		size_add(&why, max);
		return refuse(e, ERANGE, text, str_text(&why));
	}
	*ret_bytes = bytes;
	return 0;
}

int size_parse_cpus(const char *text, uint64_t *ret_milli, struct err **e)
{
	const struct unit *unit;
	const char *rest;
	uint64_t milli;
	uint64_t v;

	rest = thousandths(text, &milli);
	unit = rest ? unit_find(cpu_units, rest) : NULL;
	if (!unit || (unit->factor == 1 && milli % 1000 != 0))
		return refuse(e, EINVAL, text, "is not a number of processors: write 2, 0.5, 2cpu or 500m");
	if (scale(milli, unit->factor, &v) < 0 || v < 1 || v > CPUS_MAX)
		return refuse(e, ERANGE, text, "is out of range: 0.001 to 128 processors");
	*ret_milli = v;
	return 0;
}

int size_parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct err **e)
{
	_cleanup_free_ char *why = NULL;
	const char *rest;
	uint64_t v;

	rest = digits(text, &v);
	if (rest && *rest == '\0' && v >= min && v <= max) {
		*ret = v;
		return 0;
	}
	why = xasprintf("is not a whole number from %llu to %llu", (unsigned long long)min, (unsigned long long)max);
	return refuse(e, rest && *rest == '\0' ? ERANGE : EINVAL, text, why);
}

int size_parse_duration(const char *text, uint64_t *ret_ms, struct err **e)
{
	const struct unit *unit;
	const char *rest;
	uint64_t milli;
	uint64_t ms;

	rest = thousandths(text, &milli);
	unit = rest ? unit_find(duration_units, rest) : NULL;
	if (!unit)
		return refuse(e, EINVAL, text, "is not a duration: write 30s, 5m, 2h, 1d, or 30 for 30 seconds");
	if (scale(milli, unit->factor, &ms) < 0 || ms < 1 || ms > DURATION_MAX)
		return refuse(e, ERANGE, text, "is out of range: above 0, at most 365d");
	*ret_ms = ms;
	return 0;
}

void size_add(struct str *s, uint64_t bytes)
{
	static const char *const names[] = {"KiB", "MiB", "GiB", "TiB"};
	uint64_t unit = SIZE_KIB;
	size_t i = 0;

	if (bytes < SIZE_KIB) {
		str_addf(s, "%u byte%s", (unsigned int)bytes, bytes == 1 ? "" : "s");
		return;
	}
	while (i + 1 < ARRAY_SIZE(names) && bytes / 1024 >= unit) {
		unit *= 1024;
		i++;
	}
	str_addf(s, "%llu", (unsigned long long)(bytes / unit));
	if (bytes % unit / (unit / 1024) * 10 / 1024 > 0)
		str_addf(s, ".%u", (unsigned int)(bytes % unit / (unit / 1024) * 10 / 1024));
	str_addf(s, " %s", names[i]);
}

void size_add_duration(struct str *s, uint64_t ms)
{
	for (size_t i = ARRAY_SIZE(duration_units) - 2; i > 0; i--) {
		if (ms % duration_units[i].factor != 0)
			continue;
		str_addf(s, "%llu%s", (unsigned long long)(ms / duration_units[i].factor), duration_units[i].suffix);
		return;
	}
	str_addf(s, "%llu.%03us", (unsigned long long)(ms / 1000), (unsigned int)(ms % 1000));
}
