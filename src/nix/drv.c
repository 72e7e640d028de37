/* Theory of operation: one pass over the text. Every string is copied, its escapes undone, into one
 * buffer as long as the text: a string loses its two quotes and gains one NUL, so it always fits.
 * Lists grow in arrays of pointers into that buffer; the shortest element of any list takes three
 * bytes of text, so memory stays within a small multiple of the text.
 *
 * Nix writes some strings without escapes (paths, names, hashes, the platform) and others with
 * (builder, arguments, environment); each reader below takes exactly what the writer makes. */
#include "nix/drv.h"
#include "nix/storepath.h"

#include <errno.h>
#include <string.h>

struct parser {
	const char *start;
	const char *p;
	const char *end;
	char *to; /* where the next string goes */
	struct drv *d;
	struct err **e;
};

static int fail(const struct parser *s, const char *what)
{
	return err_set(s->e, EINVAL, "derivation: %s at byte %zu", what, (size_t)(s->p - s->start));
}

static int expect(struct parser *s, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0)
		return err_set(s->e, EINVAL, "derivation: expected '%s' at byte %zu", text, (size_t)(s->p - s->start));
	s->p += n;
	return 0;
}

/* True when the next byte is c, which is then taken. */
static bool take(struct parser *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* Bytes that never stand as they are in a string Nix wrote. */
static bool is_special(char c)
{
	return c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t' || c == '\0';
}

static char unescape(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case '"':
	case '\\':
		return c;
	default:
		return '\0';
	}
}

static int parse_string(struct parser *s, bool escapes, const char **ret)
{
	char *to = s->to;
	int r = expect(s, "\"");

	*ret = "";
	if (r < 0)
		return r;
	for (;;) {
		const char *from = s->p;

		while (s->p < s->end && !is_special(*s->p))
			s->p++;
		memcpy(to, from, (size_t)(s->p - from));
		to += s->p - from;
		if (s->p == s->end)
			return fail(s, "the text ends inside a string");
		if (*s->p == '"')
			break;
		if (*s->p != '\\' || !escapes || s->end - s->p < 2 || !unescape(s->p[1]))
			return fail(s, "a byte or escape that Nix would not write");
		*to++ = unescape(s->p[1]);
		s->p += 2;
	}
	s->p++;
	*to++ = '\0';
	*ret = s->to;
	s->to = to;
	return 0;
}

/* Room for one more element in an array of *n; the capacity is the next power of two. */
static void *grow(struct parser *s, void *array, size_t n, size_t size)
{
	if (n > 0 && (n & (n - 1)) != 0)
		return array;
	s->d->size += (n ? n : 1) * size;
	return xrealloc_array(array, n ? 2 * n : 1, size);
}
#define GROW(s, array, n) ((array) = grow(s, (array), n, sizeof(*(array))))

static int parse_store_path(struct parser *s, const char **ret)
{
	int r = parse_string(s, false, ret);

	if (r < 0)
		return r;
	return storepath_ok(*ret) ? 0 : fail(s, "no store path before");
}

/* A name that is greater than the one before it, if there is one. */
static int check_order(struct parser *s, const char *before, const char *now)
{
	return before && strcmp(before, now) >= 0 ? fail(s, "a list out of order before") : 0;
}

/* After "[" was taken: true and r = 0 when an element follows, false at the "]". */
static bool list_more(struct parser *s, size_t n, int *r)
{
	if (take(s, ']'))
		return false;
	*r = n > 0 ? expect(s, ",") : 0;
	return *r == 0;
}

enum string_kind { SK_TEXT, SK_PATH, SK_OUTPUT };

static int parse_strings(struct parser *s, enum string_kind kind, const char ***v, size_t *n)
{
	int r = expect(s, "[");

	while (r == 0 && list_more(s, *n, &r)) {
		const char *text = NULL;

		if (kind == SK_PATH)
			r = parse_store_path(s, &text);
		else
			r = parse_string(s, kind == SK_TEXT, &text);
		if (r == 0 && kind == SK_OUTPUT && !storepath_name_ok(text))
			r = fail(s, "no output name before");
		if (r == 0 && kind != SK_TEXT)
			r = check_order(s, *n ? (*v)[*n - 1] : NULL, text);
		if (r < 0)
			return r;
		GROW(s, *v, *n);
		(*v)[(*n)++] = text;
	}
	return r;
}

static int parse_output(struct parser *s, struct drv_output *o)
{
	int r = expect(s, "(");

	if (r == 0)
		r = parse_string(s, false, &o->name);
	if (r == 0 && !storepath_name_ok(o->name))
		r = fail(s, "no output name before");
	if (r == 0)
		r = expect(s, ",");
	if (r == 0)
		r = parse_string(s, false, &o->path);
	if (r == 0 && *o->path && !storepath_ok(o->path))
		r = fail(s, "no store path before");
	if (r == 0)
		r = expect(s, ",");
	if (r == 0)
		r = parse_string(s, false, &o->hash_algo);
	if (r == 0)
		r = expect(s, ",");
	if (r == 0)
		r = parse_string(s, false, &o->hash);
	return r == 0 ? expect(s, ")") : r;
}

static int parse_outputs(struct parser *s)
{
	struct drv *d = s->d;
	int r = expect(s, "[");

	while (r == 0 && list_more(s, d->n_outputs, &r)) {
		struct drv_output o = {0};

		r = parse_output(s, &o);
		if (r == 0)
			r = check_order(s, d->n_outputs ? d->outputs[d->n_outputs - 1].name : NULL, o.name);
		if (r < 0)
			return r;
		GROW(s, d->outputs, d->n_outputs);
		d->outputs[d->n_outputs++] = o;
	}
	return r == 0 && d->n_outputs == 0 ? fail(s, "no outputs before") : r;
}

static int parse_inputs(struct parser *s)
{
	struct drv *d = s->d;
	int r = expect(s, "[");

	while (r == 0 && list_more(s, d->n_inputs, &r)) {
		struct drv_input *in;
		const char *path = NULL;

		r = expect(s, "(");
		if (r == 0)
			r = parse_store_path(s, &path);
		if (r == 0 && !str_ends(path, ".drv"))
			r = fail(s, "no derivation's path before");
		if (r == 0)
			r = check_order(s, d->n_inputs ? d->inputs[d->n_inputs - 1].path : NULL, path);
		if (r == 0)
			r = expect(s, ",");
		if (r < 0)
			return r;
		/* In place, so that drv_free() finds the list of names whatever comes. */
		GROW(s, d->inputs, d->n_inputs);
		in = &d->inputs[d->n_inputs++];
		*in = (struct drv_input){.path = path};
		r = parse_strings(s, SK_OUTPUT, &in->outputs, &in->n_outputs);
		if (r == 0)
			r = expect(s, ")");
	}
	return r;
}

static int parse_env(struct parser *s)
{
	struct drv *d = s->d;
	int r = expect(s, "[");

	while (r == 0 && list_more(s, d->n_env, &r)) {
		struct drv_env v = {0};

		r = expect(s, "(");
		if (r == 0)
			r = parse_string(s, true, &v.name);
		if (r == 0)
			r = check_order(s, d->n_env ? d->env[d->n_env - 1].name : NULL, v.name);
		if (r == 0)
			r = expect(s, ",");
		if (r == 0)
			r = parse_string(s, true, &v.value);
		if (r == 0)
			r = expect(s, ")");
		if (r < 0)
			return r;
		GROW(s, d->env, d->n_env);
		d->env[d->n_env++] = v;
	}
	return r;
}

static int parse(struct parser *s)
{
	struct drv *d = s->d;
	int r = expect(s, "Derive(");

	if (r == 0)
		r = parse_outputs(s);
	if (r == 0)
		r = expect(s, ",");
	if (r == 0)
		r = parse_inputs(s);
	if (r == 0)
		r = expect(s, ",");
	if (r == 0)
		r = parse_strings(s, SK_PATH, &d->srcs, &d->n_srcs);
	if (r == 0)
		r = expect(s, ",");
	if (r == 0)
		r = parse_string(s, false, &d->platform);
	if (r == 0)
		r = expect(s, ",");
	if (r == 0)
		r = parse_string(s, true, &d->builder);
	if (r == 0)
		r = expect(s, ",");
	if (r == 0)
		r = parse_strings(s, SK_TEXT, &d->args, &d->n_args);
	if (r == 0)
		r = expect(s, ",");
	if (r == 0)
		r = parse_env(s);
	if (r == 0)
		r = expect(s, ")");
	return r == 0 && s->p != s->end ? fail(s, "more text") : r;
}

int drv_parse(const char *text, size_t n, struct drv **ret, struct err **e)
{
	_cleanup_drv_ struct drv *d = NULL;
	struct parser s = {.start = text, .p = text, .end = text + n, .e = e};
	int r;

	if (n > DRV_BYTES_MAX)
		return err_set(e, EFBIG, "derivation: larger than %d bytes", DRV_BYTES_MAX);
	d = xcalloc(1, sizeof(*d));
	d->bytes = xmalloc(n + 1);
	d->size = sizeof(*d) + n + 1;
	s.to = d->bytes;
	s.d = d;
	r = parse(&s);
	if (r < 0)
		return r;
	*ret = take_ptr(d);
	return 0;
}

void drv_free(struct drv *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n_inputs; i++)
		free(d->inputs[i].outputs);
	free(d->outputs);
	free(d->inputs);
	free(d->srcs);
	free(d->args);
	free(d->env);
	free(d->bytes);
	free(d);
}

static void add_plain(struct str *to, const char *text)
{
	str_addc(to, '"');
	str_adds(to, text);
	str_addc(to, '"');
}

static void add_escaped(struct str *to, const char *text)
{
	str_addc(to, '"');
	for (;;) {
		size_t n = strcspn(text, "\"\\\n\r\t");
		char c = text[n];

		str_add(to, text, n);
		if (c == '\0')
			break;
		str_addc(to, '\\');
		str_addc(to, (char)(c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c));
		text += n + 1;
	}
	str_addc(to, '"');
}

static void add_list(struct str *to, const char *const *v, size_t n, bool escape)
{
	str_addc(to, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			str_addc(to, ',');
		(escape ? add_escaped : add_plain)(to, v[i]);
	}
	str_addc(to, ']');
}

void drv_unparse(struct str *to, const struct drv *d, bool mask, const struct drv_input *inputs, size_t n_inputs)
{
	str_adds(to, "Derive([");
	for (size_t i = 0; i < d->n_outputs; i++) {
		const struct drv_output *o = &d->outputs[i];

		str_addf(to, "%s(\"%s\",\"%s\",\"%s\",\"%s\")", i ? "," : "", o->name, mask ? "" : o->path,
			 o->hash_algo, o->hash);
	}
	str_adds(to, "],[");
	for (size_t i = 0; i < n_inputs; i++) {
		str_adds(to, i ? ",(" : "(");
		add_plain(to, inputs[i].path);
		str_addc(to, ',');
		add_list(to, inputs[i].outputs, inputs[i].n_outputs, false);
		str_addc(to, ')');
	}
	str_adds(to, "],");
	add_list(to, d->srcs, d->n_srcs, false);
	str_addc(to, ',');
	add_plain(to, d->platform);
	str_addc(to, ',');
	add_escaped(to, d->builder);
	str_addc(to, ',');
	add_list(to, d->args, d->n_args, true);
	str_adds(to, ",[");
	for (size_t i = 0; i < d->n_env; i++) {
		const struct drv_env *v = &d->env[i];

		str_adds(to, i ? ",(" : "(");
		add_escaped(to, v->name);
		str_addc(to, ',');
		add_escaped(to, mask && drv_output_get(d, v->name) ? "" : v->value);
		str_addc(to, ')');
	}
	str_adds(to, "])");
}

static int compare_env(const void *name, const void *env)
{
	return strcmp(name, ((const struct drv_env *)env)->name);
}

static int compare_output(const void *name, const void *output)
{
	return strcmp(name, ((const struct drv_output *)output)->name);
}

const char *drv_env_get(const struct drv *d, const char *name)
{
	const struct drv_env *hit = d->n_env ? bsearch(name, d->env, d->n_env, sizeof(*d->env), compare_env) : NULL;

	return hit ? hit->value : NULL;
}

const struct drv_output *drv_output_get(const struct drv *d, const char *name)
{
	return bsearch(name, d->outputs, d->n_outputs, sizeof(*d->outputs), compare_output);
}
