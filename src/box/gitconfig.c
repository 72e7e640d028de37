#include "box/gitconfig.h"

#include <string.h>
#include <strings.h>

struct reader {
	const char *p;
	const char *end;
};

static int peek(const struct reader *r)
{
	return r->p < r->end ? (unsigned char)*r->p : -1;
}

/* The next byte; a carriage return before a line end is the line end's, as for git. */
static int next(struct reader *r)
{
	if (r->p < r->end && *r->p == '\r' && r->p + 1 < r->end && r->p[1] == '\n')
		r->p++;
	return r->p < r->end ? (unsigned char)*r->p++ : -1;
}

static bool is_blank(int c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static void skip_line(struct reader *r)
{
	const char *line_end = memchr(r->p, '\n', (size_t)(r->end - r->p));

	r->p = line_end ? line_end : r->end;
}

/* `[section "sub"]` from behind the bracket; only the section counts here. "[section.sub]" is the old way. */
static void read_section(struct reader *r, struct str *section)
{
	bool quoted = false;
	int c;

	str_clear(section);
	while ((c = next(r)) >= 0 && c != '\n' && (quoted || c != ']')) {
		if (c == '"')
			quoted = !quoted;
		else if (quoted && c == '\\')
			(void)next(r);
		else if (!quoted && c > 0 && !is_blank(c))
			str_addc(section, (char)c);
	}
	if (section->len > 0)
		section->p[strcspn(section->p, ".")] = '\0';
}

/* git's parse_value(): quotes may start and end anywhere, a backslash goes on in the next line. */
static void read_value(struct reader *r, struct str *value)
{
	bool quoted = false;
	size_t trimmed = 0;
	int c;

	while ((c = peek(r)) >= 0 && c != '\n') {
		c = next(r);
		if (c < 0 || c == '\n')
			break;
		if (!quoted && (c == '#' || c == ';')) {
			skip_line(r);
			break;
		}
		if (!quoted && is_blank(c)) {
			if (value->len > 0)
				str_addc(value, ' ');
			continue;
		}
		if (c == '"') {
			quoted = !quoted;
			trimmed = value->len;
			continue;
		}
		if (c == '\\') {
			c = next(r);
			if (c == '\n')
				continue;
			c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'b' ? '\b' : c;
		}
		if (c > 0)
			str_addc(value, (char)c);
		trimmed = value->len;
	}
	if (value->p) {
		value->p[trimmed] = '\0';
		value->len = trimmed;
	}
}

static bool is_name(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

static void take(const char *section, const char *key, const char *value, struct gitconfig *ret)
{
	bool include = strcasecmp(section, "include") == 0 || strcasecmp(section, "includeif") == 0;

	if (!*value)
		return;
	if (include && strcasecmp(key, "path") == 0)
		strv_add(&ret->includes, value);
	if (strcasecmp(section, "core") == 0 && strcasecmp(key, "hookspath") == 0)
		strv_add(&ret->hooks, value);
	if (strcasecmp(section, "submodule") == 0 && strcasecmp(key, "path") == 0)
		strv_add(&ret->submodules, value);
}

static void read_variable(struct reader *r, const char *section, struct gitconfig *ret)
{
	_cleanup_str_ struct str key = STR_INIT;
	_cleanup_str_ struct str value = STR_INIT;

	while (is_name(peek(r)))
		str_addc(&key, (char)next(r));
	while (is_blank(peek(r)))
		(void)next(r);
	if (peek(r) != '=') {
		skip_line(r);
		return;
	}
	(void)next(r);
	read_value(r, &value);
	take(section, str_text(&key), str_text(&value), ret);
}

void gitconfig_read(const char *text, size_t n, struct gitconfig *ret)
{
	struct reader r = {text, text + n};
	_cleanup_str_ struct str section = STR_INIT;
	int c;

	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		r.p += 3;
	while ((c = peek(&r)) >= 0) {
		if (c == '#' || c == ';') {
			skip_line(&r);
		} else if (c == '[') {
			(void)next(&r);
			read_section(&r, &section);
		} else if (is_name(c)) {
			read_variable(&r, str_text(&section), ret);
		} else {
			(void)next(&r);
		}
	}
}

void gitconfig_release(struct gitconfig *c)
{
	strv_release(&c->includes);
	strv_release(&c->hooks);
	strv_release(&c->submodules);
}
