#include "nix/lock.h"
#include "fmt/digest.h"
#include "fmt/json.h"

#include <errno.h>
#include <string.h>

enum { DEPTH_MAX = 32, SHOWN_MAX = 300 };

static char *printable(const char *text)
{
	_cleanup_str_ struct str s = STR_INIT;

	str_add_printable(&s, text, strnlen(text, SHOWN_MAX), false);
	return str_take(&s);
}

/* Walks `path` from a place `*depth` folders below the repository's top; false when it leaves it. */
static bool stays_inside(const char *path, size_t *depth)
{
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && memcmp(path, "..", 2) == 0) {
			if (*depth == 0)
				return false;
			(*depth)--;
		} else if (n > 0 && !(n == 1 && *path == '.')) {
			(*depth)++;
		}
		path += n + (path[n] == '/');
	}
	return true;
}

static int read_path_node(struct lock_node *node, const json_t *object, const char *path, const char *subdir,
			  struct err **e)
{
	json_t *parent = NULL;
	size_t depth = 0;
	int r = json_opt_array(object, "parent", node->name, &parent, e);

	if (r < 0)
		return r;
	node->is_path = true;
	if (*path == '/' || *path == '\0')
		return 0;
	if (json_array_size(parent) > 0)
		node->is_nested = true;
	else
		node->is_inside = stays_inside(subdir, &depth) && stays_inside(path, &depth);
	return 0;
}

/* The name Nix gives the fetched tree is "source", unless the lock says otherwise. */
static int read_nar_hash(struct lock_node *node, const json_t *locked, struct err **e)
{
	const char *nar_hash = NULL;
	const char *name = "source";
	uint8_t hash[DIGEST_BYTES_MAX];
	enum digest_algo algo;
	int r = json_opt_string(locked, "narHash", node->name, &nar_hash, e);

	if (r == 0)
		r = json_opt_string(locked, "name", node->name, &name, e);
	if (r < 0 || !nar_hash)
		return r;
	if (!digest_from_sri(nar_hash, &algo, hash) || algo != DIGEST_SHA256) {
		_cleanup_free_ char *shown = printable(nar_hash);

		return err_set(e, EINVAL, "%s: narHash '%s' is not 'sha256-' and 44 digits of base64", node->name,
			       shown);
	}
	r = storepath_fixed(true, DIGEST_SHA256, hash, name, node->store_path, e);
	if (r < 0) {
		(void)err_wrap(e, "%s", node->name);
		return r;
	}
	node->has_path = true;
	return 0;
}

static int read_from(struct lock_node *node, const json_t *locked, const char **ret_path, struct err **e)
{
	const char *url = NULL;
	const char *owner = NULL;
	const char *repo = NULL;
	const char *path = NULL;
	_cleanup_free_ char *from = NULL;
	int r = json_opt_string(locked, "url", node->name, &url, e);

	if (r == 0)
		r = json_opt_string(locked, "owner", node->name, &owner, e);
	if (r == 0)
		r = json_opt_string(locked, "repo", node->name, &repo, e);
	if (r == 0)
		r = json_opt_string(locked, "path", node->name, &path, e);
	if (r < 0)
		return r;
	from = owner && repo ? xasprintf("%s/%s", owner, repo) : xstrdup(url ? url : path ? path : "");
	node->from = printable(from);
	*ret_path = path ? path : "";
	return 0;
}

static int read_node(struct lock_node *node, const char *name, const json_t *object, const char *subdir, struct err **e)
{
	json_t *locked = NULL;
	const char *type = "";
	const char *path = "";
	int r;

	node->name = printable(name);
	r = json_opt_object(object, "locked", node->name, &locked, e);
	if (r == 0 && locked)
		r = json_want_string(locked, "type", node->name, &type, e);
	if (r == 0 && locked)
		r = read_nar_hash(node, locked, e);
	if (r == 0 && locked)
		r = read_from(node, locked, &path, e);
	if (r == 0 && strcmp(type, "path") == 0)
		r = read_path_node(node, object, path, subdir, e);
	if (r < 0)
		return r;
	node->type = printable(type);
	if (!node->from)
		node->from = xstrdup("");
	return 0;
}

static int compare_nodes(const void *a, const void *b)
{
	return strcmp(((const struct lock_node *)a)->name, ((const struct lock_node *)b)->name);
}

static int read_nodes(struct lock *l, const json_t *file, const char *subdir, struct err **e)
{
	const char *root = "root";
	json_t *nodes = NULL;
	const char *name;
	json_t *object;
	int r = json_want_object(file, "nodes", "the lock file", &nodes, e);

	if (r == 0)
		r = json_opt_string(file, "root", "the lock file", &root, e);
	if (r < 0)
		return r;
	if (json_object_size(nodes) > LOCK_NODES_MAX)
		return err_set(e, EINVAL, "more than %d inputs", LOCK_NODES_MAX);
	if (!json_object_get(nodes, root))
		return err_set(e, EINVAL, "the root of the inputs is missing");
	l->nodes = xcalloc(json_object_size(nodes), sizeof(*l->nodes));
	json_object_foreach(nodes, name, object)
	{
		if (strcmp(name, root) == 0)
			continue;
		/* Counted first, so that lock_free() sees a node half read. */
		r = read_node(&l->nodes[l->n_nodes++], name, object, subdir, e);
		if (r < 0) {
			(void)err_wrap(e, "input");
			return r;
		}
	}
	if (l->n_nodes > 0)
		qsort(l->nodes, l->n_nodes, sizeof(*l->nodes), compare_nodes);
	return 0;
}

static int parse(struct lock *l, const char *text, size_t n, const char *subdir, struct err **e)
{
	_cleanup_json_ json_t *file = NULL;
	json_int_t version = 0;
	int r = json_parse(text, n, LOCK_BYTES_MAX, DEPTH_MAX, &file, e);

	if (r == 0)
		r = json_want_int(file, "version", "the lock file", &version, e);
	if (r < 0)
		return r;
	if (version < 5 || version > 7)
		return err_set(e, EINVAL, "version %lld is not one igloo can read (5 to 7)", (long long)version);
	return read_nodes(l, file, subdir, e);
}

int lock_parse(const char *text, size_t n, const char *subdir, struct lock **ret, struct err **e)
{
	_cleanup_lock_ struct lock *l = xcalloc(1, sizeof(*l));
	int r = parse(l, text, n, subdir, e);

	if (r < 0) {
		(void)err_wrap(e, "flake.lock");
		return r;
	}
	*ret = take_ptr(l);
	return 0;
}

void lock_free(struct lock *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n_nodes; i++) {
		free(l->nodes[i].name);
		free(l->nodes[i].type);
		free(l->nodes[i].from);
	}
	free(l->nodes);
	free(l);
}
