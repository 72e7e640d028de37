#include "nix/drvpath.h"
#include "fmt/digest.h"

#include <errno.h>
#include <string.h>

static bool is_fixed(const struct drv_output *o)
{
	return *o->path && *o->hash_algo && *o->hash;
}

int drvpath_type(const struct drv *d, enum drvpath_type *ret, struct err **e)
{
	size_t paths = 0;
	size_t hashes = 0;

	if (d->n_outputs == 1 && is_fixed(&d->outputs[0]) && strcmp(d->outputs[0].name, "out") == 0) {
		*ret = DRVPATH_FIXED;
		return 0;
	}
	for (size_t i = 0; i < d->n_outputs; i++) {
		paths += *d->outputs[i].path != '\0';
		hashes += *d->outputs[i].hash_algo || *d->outputs[i].hash;
	}
	if (paths == d->n_outputs && hashes == 0)
		*ret = DRVPATH_INPUT;
	else if (paths == 0 && (hashes == 0 || hashes == d->n_outputs))
		*ret = DRVPATH_DEFERRED;
	else
		return err_set(e, EINVAL, "its outputs are of several kinds");
	return 0;
}

int drvpath_own(const char *text, size_t n, const struct drv *d, const char *file_name, char ret[static STOREPATH_SIZE],
		struct err **e)
{
	_cleanup_free_ const char **refs = xcalloc(d->n_inputs + d->n_srcs + 1, sizeof(*refs));
	uint8_t digest[DIGEST_SHA256_BYTES];
	size_t n_refs = 0;
	size_t i = 0;
	size_t j = 0;
	int r;

	/* Both lists are sorted; a derivation can be in both. */
	while (i < d->n_inputs || j < d->n_srcs) {
		int order = i == d->n_inputs ? 1 : j == d->n_srcs ? -1 : strcmp(d->inputs[i].path, d->srcs[j]);

		refs[n_refs++] = order <= 0 ? d->inputs[i].path : d->srcs[j];
		i += order <= 0;
		j += order >= 0;
	}
	r = digest_sha256(text, n, digest, e);
	if (r < 0)
		return r;
	return storepath_text(digest, refs, n_refs, file_name, ret, e);
}

/* One input as it enters the hash; the names are owned when they are of several inputs. */
struct hashed {
	char hex[DIGEST_SHA256_HEX + 1];
	const struct drv_input *input;
};

static int compare_hashed(const void *a, const void *b)
{
	return strcmp(((const struct hashed *)a)->hex, ((const struct hashed *)b)->hex);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The union of the output names of n inputs with one hash, sorted. */
static const char **join_names(const struct hashed *h, size_t n, size_t *ret_n)
{
	const char **names;
	size_t total = 0;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		total += h[i].input->n_outputs;
	names = xcalloc(total + 1, sizeof(*names));
	total = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < h[i].input->n_outputs; j++)
			names[total++] = h[i].input->outputs[j];
	if (n > 1)
		qsort(names, total, sizeof(*names), compare_names);
	for (size_t i = 0; i < total; i++)
		if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
			names[kept++] = names[i];
	*ret_n = kept;
	return names;
}

/* The inputs as they stand in the text that is hashed: by hex hash, sorted, inputs with one hash (two
 * fixed outputs of one content) joined, and none that gives no output. */
struct inputs {
	struct hashed *hashed;
	struct drv_input *v;
	size_t n;
};

static void inputs_release(struct inputs *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].outputs);
	free(s->v);
	free(s->hashed);
}

static void inputs_make(struct inputs *s, const struct drv *d, const uint8_t (*moduli)[DIGEST_SHA256_BYTES])
{
	size_t n = d->n_inputs;

	s->hashed = xcalloc(n + 1, sizeof(*s->hashed));
	s->v = xcalloc(n + 1, sizeof(*s->v));
	for (size_t i = 0; i < n; i++) {
		digest_hex(moduli[i], DIGEST_SHA256_BYTES, s->hashed[i].hex);
		s->hashed[i].input = &d->inputs[i];
	}
	qsort(s->hashed, n, sizeof(*s->hashed), compare_hashed);
	for (size_t i = 0; i < n;) {
		struct drv_input *in = &s->v[s->n];
		size_t same = 1;

		while (i + same < n && compare_hashed(&s->hashed[i], &s->hashed[i + same]) == 0)
			same++;
		in->path = s->hashed[i].hex;
		in->outputs = join_names(&s->hashed[i], same, &in->n_outputs);
		if (in->n_outputs > 0)
			s->n++;
		else
			free(in->outputs);
		i += same;
	}
}

static int hash_with(const struct drv *d, bool mask, const struct inputs *in, uint8_t ret[static DIGEST_SHA256_BYTES],
		     struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;

	drv_unparse(&text, d, mask, in->v, in->n);
	return digest_sha256(str_text(&text), text.len, ret, e);
}

static int compare_path(const struct drv_output *o, const char *path, struct err **e)
{
	if (strcmp(o->path, path) == 0)
		return 0;
	return err_set(e, EINVAL, "output '%s' claims the path '%s', but its own is '%s'", o->name, o->path, path);
}

static int verify_input_addressed(const struct drv *d, const char *name, const struct inputs *in,
				  uint8_t ret_modulo[static DIGEST_SHA256_BYTES], struct err **e)
{
	uint8_t masked[DIGEST_SHA256_BYTES];
	int r = hash_with(d, true, in, masked, e);

	for (size_t i = 0; i < d->n_outputs && r == 0; i++) {
		const struct drv_output *o = &d->outputs[i];
		_cleanup_free_ char *type = xasprintf("output:%s", o->name);
		_cleanup_free_ char *path_name = strcmp(o->name, "out") == 0 ? xstrdup(name)
									     : xasprintf("%s-%s", name, o->name);
		char path[STOREPATH_SIZE];

		r = storepath_make(type, masked, path_name, path, e);
		if (r == 0)
			r = compare_path(o, path, e);
	}
	return r == 0 ? hash_with(d, false, in, ret_modulo, e) : r;
}

static int verify_fixed(const struct drv_output *o, const char *name, uint8_t ret_modulo[static DIGEST_SHA256_BYTES],
			struct err **e)
{
	bool recursive = str_starts(o->hash_algo, "r:");
	_cleanup_free_ char *text = NULL;
	enum digest_algo algo;
	uint8_t hash[DIGEST_BYTES_MAX];
	char path[STOREPATH_SIZE];
	int r;

	if (!digest_algo_parse(o->hash_algo + (recursive ? 2 : 0), &algo) ||
	    !digest_from_hex(o->hash, hash, digest_algo_bytes(algo))) {
		_cleanup_str_ struct str shown = STR_INIT;

		str_add_printable(&shown, o->hash_algo, strnlen(o->hash_algo, 40), false);
		return err_set(e, EINVAL, "its hash is not one that igloo knows ('%s')", str_text(&shown));
	}
	r = storepath_fixed(recursive, algo, hash, name, path, e);
	if (r == 0)
		r = compare_path(o, path, e);
	if (r < 0)
		return r;
	text = xasprintf("fixed:out:%s:%s:%s", o->hash_algo, o->hash, path);
	return digest_sha256(text, strlen(text), ret_modulo, e);
}

int drvpath_verify(const struct drv *d, const char *name, const uint8_t (*moduli)[DIGEST_SHA256_BYTES],
		   uint8_t ret_modulo[static DIGEST_SHA256_BYTES], struct err **e)
{
	struct inputs in = {0};
	enum drvpath_type type;
	int r = drvpath_type(d, &type, e);

	if (r < 0)
		return r;
	if (type == DRVPATH_FIXED)
		return verify_fixed(&d->outputs[0], name, ret_modulo, e);
	if (type != DRVPATH_INPUT)
		return err_set(e, EINVAL, "its outputs have no paths yet");
	inputs_make(&in, d, moduli);
	r = verify_input_addressed(d, name, &in, ret_modulo, e);
	inputs_release(&in);
	return r;
}
