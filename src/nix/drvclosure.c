/* Theory of operation: a depth-first walk with its own stack. A node is one derivation, found by its
 * path in a hash table; it is read when the walk first meets it, and checked when all its inputs are
 * done. Only derivations on the stack are held in memory as text; a finished node keeps its modulo
 * hash and the names of its outputs. A node's text is checked against its path before its inputs are
 * followed, so a cycle would need a SHA-256 that contains itself; the walk still refuses one. */
#include "nix/drvclosure.h"
#include "nix/drvpath.h"
#include "sys/file.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

static const size_t text_max = (size_t)1 << 30; /* read in all */
static const size_t held_max = (size_t)1 << 29; /* on the stack at one time */

enum node_state { NODE_NEW, NODE_OPEN, NODE_DONE, NODE_DEFERRED, NODE_FAILED };

struct node {
	enum node_state state;
	uint8_t modulo[DIGEST_SHA256_BYTES];
	struct strv names; /* of the outputs, sorted; once done */
	char path[];
};

struct frame {
	struct node *node;
	struct drv *d;
	size_t next; /* input to look at */
};

struct drv_closure_graph {
	struct node **table; /* open addressing, `size` a power of two, at most half full */
	size_t size;
	uint64_t seed[2];
};

struct walk {
	int storefd;
	struct drv_closure *c;
	size_t outputs_cap;
	struct frame *stack;
	size_t depth;
	size_t text;
	size_t held;
};

/* The first 16 digits of the path's hash, mixed with a secret so that a store made for the purpose
 * cannot fill one bucket. */
static size_t hash_path(const struct drv_closure_graph *g, const char *path)
{
	uint64_t word[2];
	unsigned __int128 product;

	memcpy(word, storepath_base(path), sizeof(word));
	product = (unsigned __int128)(word[0] ^ g->seed[0]) * (word[1] ^ g->seed[1]);
	return (size_t)((uint64_t)product ^ (uint64_t)(product >> 64));
}

static struct node **slot_of(const struct drv_closure_graph *g, const char *path)
{
	size_t i = hash_path(g, path) & (g->size - 1);

	while (g->table[i] && strcmp(g->table[i]->path, path) != 0)
		i = (i + 1) & (g->size - 1);
	return &g->table[i];
}

static void table_grow(struct drv_closure_graph *g)
{
	_cleanup_free_ struct node **old = g->table;
	size_t size = g->size;

	g->size = size ? 2 * size : 1024;
	g->table = xcalloc(g->size, sizeof(struct node *));
	for (size_t i = 0; i < size; i++)
		if (old[i])
			*slot_of(g, old[i]->path) = old[i];
}

static int get_node(struct walk *w, const char *path, struct node **ret, struct err **e)
{
	struct drv_closure_graph *g = w->c->graph;
	struct node **slot;
	size_t n;

	if (2 * w->c->n_drvs >= g->size)
		table_grow(g);
	slot = slot_of(g, path);
	if (!*slot) {
		if (w->c->n_drvs == DRV_CLOSURE_MAX)
			return err_set(e, E2BIG, "the graph has more than %d derivations", DRV_CLOSURE_MAX);
		w->c->n_drvs++;
		n = strlen(path) + 1;
		*slot = xcalloc(1, sizeof(**slot) + n);
		memcpy((*slot)->path, path, n);
	}
	*ret = *slot;
	return 0;
}

static void node_fail(struct walk *w, struct node *node, const char *why)
{
	struct drv_closure *c = w->c;

	/* Room doubles at each power of two. */
	if ((c->n_failed & (c->n_failed - 1)) == 0)
		c->failed = xrealloc_array(c->failed, c->n_failed ? 2 * c->n_failed : 1, sizeof(*c->failed));
	c->failed[c->n_failed++] = (struct drv_closure_failure){.drv = node->path, .why = xstrdup(why)};
	node->state = NODE_FAILED;
}

/* Reads and parses the file and checks that its bytes belong at its path. */
static int node_load(struct walk *w, const struct node *node, struct drv **ret, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_drv_ struct drv *d = NULL;
	char own[STOREPATH_SIZE];
	int r = file_read(w->storefd, storepath_base(node->path), DRV_BYTES_MAX, &text, e);

	if (r < 0)
		return r;
	w->text += text.len;
	r = drv_parse(str_text(&text), text.len, &d, e);
	if (r == 0)
		r = drvpath_own(str_text(&text), text.len, d, storepath_name(node->path), own, e);
	if (r < 0)
		return r;
	if (strcmp(own, node->path) != 0)
		return err_set(e, EINVAL, "its bytes belong at '%s'", own);
	*ret = take_ptr(d);
	return 0;
}

/* Puts a new node on the stack, or marks it failed. Errors are those that end the walk. */
static int node_open(struct walk *w, struct node *node, struct err **e)
{
	_cleanup_err_ struct err *why = NULL;
	struct drv *d = NULL;
	int r = node_load(w, node, &d, &why);

	if (w->text > text_max) {
		drv_free(d);
		return err_set(e, E2BIG, "the graph has more than %zu bytes of derivations", text_max);
	}
	if (r < 0 || !d) {
		node_fail(w, node, err_message(why));
		return 0;
	}
	if (w->held + d->size > held_max) {
		drv_free(d);
		return err_set(e, E2BIG, "a chain of derivations takes more than %zu bytes", held_max);
	}
	w->held += d->size;
	if ((w->depth & (w->depth - 1)) == 0)
		w->stack = xrealloc_array(w->stack, w->depth ? 2 * w->depth : 1, sizeof(*w->stack));
	w->stack[w->depth++] = (struct frame){.node = node, .d = d};
	node->state = NODE_OPEN;
	return 0;
}

/* The modulo hashes of the inputs; *ret_deferred when one of them has none yet. */
static int gather_moduli(struct walk *w, const struct drv *d, uint8_t (*moduli)[DIGEST_SHA256_BYTES],
			 bool *ret_deferred, struct err **e)
{
	bool deferred = false;

	for (size_t i = 0; i < d->n_inputs; i++) {
		const struct drv_input *in = &d->inputs[i];
		const struct node *node = *slot_of(w->c->graph, in->path);

		if (node->state == NODE_DEFERRED)
			deferred = true;
		else if (node->state != NODE_DONE)
			return err_set(e, EINVAL, "its input '%s' is not verified", in->path);
		for (size_t j = 0; j < in->n_outputs; j++)
			if (strv_find_sorted(&node->names, in->outputs[j]) < 0)
				return err_set(e, EINVAL, "its input '%s' has no output '%s'", in->path,
					       in->outputs[j]);
		memcpy(moduli[i], node->modulo, DIGEST_SHA256_BYTES);
	}
	*ret_deferred = deferred;
	return 0;
}

static int node_check(struct walk *w, struct node *node, const struct drv *d, enum drvpath_type *ret, struct err **e)
{
	const char *file_name = storepath_name(node->path);
	_cleanup_free_ char *name = xstrndup(file_name, strlen(file_name) - strlen(".drv"));
	_cleanup_free_ uint8_t(*moduli)[DIGEST_SHA256_BYTES] = NULL;
	bool deferred = false;
	int r = drvpath_type(d, ret, e);

	if (r < 0 || *ret == DRVPATH_DEFERRED)
		return r;
	if (*ret == DRVPATH_INPUT) {
		moduli = xcalloc(d->n_inputs + 1, sizeof(*moduli));
		r = gather_moduli(w, d, moduli, &deferred, e);
		if (r < 0)
			return r;
		if (deferred)
			return err_set(e, EINVAL, "it claims output paths, but has inputs whose paths are not known");
	}
	return drvpath_verify(d, name, (const uint8_t(*)[DIGEST_SHA256_BYTES])moduli, node->modulo, e);
}

static int add_outputs(struct walk *w, const struct node *node, const struct drv *d, struct err **e)
{
	struct drv_closure *c = w->c;

	if (d->n_outputs > DRV_CLOSURE_OUTPUTS_MAX - c->n_outputs)
		return err_set(e, E2BIG, "the graph has more than %d outputs", DRV_CLOSURE_OUTPUTS_MAX);
	if (c->n_outputs + d->n_outputs > w->outputs_cap) {
		w->outputs_cap = 2 * (c->n_outputs + d->n_outputs);
		c->outputs = xrealloc_array(c->outputs, w->outputs_cap, sizeof(*c->outputs));
	}
	for (size_t i = 0; i < d->n_outputs; i++)
		c->outputs[c->n_outputs++] = (struct drv_closure_output){
			.path = xstrdup(d->outputs[i].path), .name = xstrdup(d->outputs[i].name), .drv = node->path};
	return 0;
}

/* Takes the top of the stack off, its inputs all being done. */
static int node_finish(struct walk *w, struct err **e)
{
	struct frame *f = &w->stack[--w->depth];
	_cleanup_drv_ struct drv *d = f->d;
	_cleanup_err_ struct err *why = NULL;
	struct node *node = f->node;
	enum drvpath_type type;

	w->held -= d->size;
	if (node_check(w, node, d, &type, &why) < 0) {
		node_fail(w, node, err_message(why));
		return 0;
	}
	for (size_t i = 0; i < d->n_outputs; i++)
		strv_add(&node->names, d->outputs[i].name);
	node->state = type == DRVPATH_DEFERRED ? NODE_DEFERRED : NODE_DONE;
	return type == DRVPATH_DEFERRED ? 0 : add_outputs(w, node, d, e);
}

static int visit(struct walk *w, const char *root, struct err **e)
{
	struct node *node = NULL;
	int r = get_node(w, root, &node, e);

	if (r == 0 && node->state == NODE_NEW)
		r = node_open(w, node, e);
	while (r == 0 && w->depth > 0) {
		struct frame *f = &w->stack[w->depth - 1];

		if (f->next == f->d->n_inputs) {
			r = node_finish(w, e);
			continue;
		}
		r = get_node(w, f->d->inputs[f->next++].path, &node, e);
		if (r == 0 && node->state == NODE_NEW)
			r = node_open(w, node, e);
	}
	return r;
}

static int compare_outputs(const void *a, const void *b)
{
	const struct drv_closure_output *x = a;
	const struct drv_closure_output *y = b;
	int order = strcmp(x->path, y->path);

	return order ? order : strcmp(x->drv, y->drv);
}

/* Two derivations with one fixed output share its path. */
static void sort_outputs(struct drv_closure *c)
{
	size_t kept = 0;

	if (c->n_outputs > 0)
		qsort(c->outputs, c->n_outputs, sizeof(*c->outputs), compare_outputs);
	for (size_t i = 0; i < c->n_outputs; i++) {
		if (kept > 0 && strcmp(c->outputs[kept - 1].path, c->outputs[i].path) == 0) {
			free(c->outputs[i].path);
			free(c->outputs[i].name);
		} else {
			c->outputs[kept++] = c->outputs[i];
		}
	}
	c->n_outputs = kept;
}

static int walk_roots(struct walk *w, const char *const *roots, size_t n_roots, struct err **e)
{
	for (size_t i = 0; i < n_roots; i++) {
		int r;

		if (!storepath_ok(roots[i]) || !str_ends(roots[i], ".drv")) {
			_cleanup_str_ struct str shown = STR_INIT;

			str_add_printable(&shown, roots[i], strnlen(roots[i], STOREPATH_SIZE), false);
			return err_set(e, EINVAL, "'%s' is not the store path of a derivation", str_text(&shown));
		}
		r = visit(w, roots[i], e);
		if (r < 0) {
			(void)err_wrap(e, "derivation '%s'", roots[i]);
			return r;
		}
	}
	return 0;
}

int drv_closure_read(int storefd, const char *const *roots, size_t n_roots, struct drv_closure **ret, struct err **e)
{
	_cleanup_drv_closure_ struct drv_closure *c = NULL;
	struct walk w = {.storefd = storefd};
	int r = digest_load(e);

	if (r < 0)
		return r;
	c = xcalloc(1, sizeof(*c));
	c->graph = xcalloc(1, sizeof(*c->graph));
	if (getrandom(c->graph->seed, sizeof(c->graph->seed), 0) != (ssize_t)sizeof(c->graph->seed))
		return err_errno(e, errno, "getrandom");
	w.c = c;
	r = walk_roots(&w, roots, n_roots, e);
	while (w.depth > 0)
		drv_free(w.stack[--w.depth].d);
	free(w.stack);
	if (r < 0)
		return r;
	sort_outputs(c);
	*ret = take_ptr(c);
	return 0;
}

void drv_closure_free(struct drv_closure *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_outputs; i++) {
		free(c->outputs[i].path);
		free(c->outputs[i].name);
	}
	for (size_t i = 0; i < c->n_failed; i++)
		free(c->failed[i].why);
	for (size_t i = 0; i < c->graph->size; i++) {
		if (c->graph->table[i])
			strv_release(&c->graph->table[i]->names);
		free(c->graph->table[i]);
	}
	free(c->graph->table);
	free(c->graph);
	free(c->outputs);
	free(c->failed);
	free(c);
}

static int compare_path(const void *path, const void *output)
{
	return strcmp(path, ((const struct drv_closure_output *)output)->path);
}

const struct drv_closure_output *drv_closure_find(const struct drv_closure *c, const char *path)
{
	return c->n_outputs ? bsearch(path, c->outputs, c->n_outputs, sizeof(*c->outputs), compare_path) : NULL;
}
