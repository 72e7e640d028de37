#include "net/synth.h"

#include <search.h>
#include <string.h>

/* A /15 is 512 blocks of 256. The first block is the gateway's own; of the others .1 to .254 are given out, in order.
 */
enum { BLOCK = 256, BLOCKS = 512, PER_BLOCK = BLOCK - 2 };
_Static_assert((BLOCKS - 1) * PER_BLOCK >= SYNTH_NAMES_MAX, "every name has an address");

struct known {
	uint32_t address;
	const char *name; /* = own, but for a key to search with */
	char own[];
};

struct synth {
	uint32_t base;
	struct known **entries; /* in the order of their addresses */
	size_t n, cap;
	void *by_name; /* tsearch(3)'s tree: its depth does not depend on which names a box asks for */
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->name, ((const struct known *)b)->name);
}

struct synth *synth_new(uint32_t base)
{
	struct synth *s = xcalloc(1, sizeof(*s));

	s->base = base & ~(uint32_t)(BLOCKS * BLOCK - 1);
	return s;
}

static void keep(void *entry)
{
	(void)entry;
}

void synth_free(struct synth *s)
{
	if (!s)
		return;
	tdestroy(s->by_name, keep);
	for (size_t i = 0; i < s->n; i++)
		free(s->entries[i]);
	free(s->entries);
	free(s);
}

static struct known *entry_new(uint32_t address, const char *name)
{
	size_t n = strlen(name) + 1;
	struct known *x = xmalloc(sizeof(*x) + n);

	x->address = address;
	x->name = x->own;
	memcpy(x->own, name, n);
	return x;
}

uint32_t synth_address(struct synth *s, const char *name)
{
	struct known wanted = {.name = name}, *fresh;
	void *found = tfind(&wanted, &s->by_name, by_name);

	if (found)
		return (*(struct known **)found)->address;
	if (s->n == SYNTH_NAMES_MAX)
		return 0;
	fresh = entry_new(s->base + (uint32_t)((s->n / PER_BLOCK + 1) * BLOCK + s->n % PER_BLOCK + 1), name);
	if (!tsearch(fresh, &s->by_name, by_name)) {
		free(fresh);
		return 0;
	}
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 16;
		s->entries = xrealloc_array(s->entries, s->cap, sizeof(struct known *));
	}
	s->entries[s->n++] = fresh;
	return fresh->address;
}

const char *synth_name(const struct synth *s, uint32_t address)
{
	uint32_t offset = address - s->base;
	uint32_t low = offset % BLOCK;
	size_t index;

	if (offset >= BLOCKS * BLOCK || offset < BLOCK || low == 0 || low == BLOCK - 1)
		return NULL;
	index = (size_t)(offset / BLOCK - 1) * PER_BLOCK + low - 1;
	return index < s->n ? s->entries[index]->name : NULL;
}

size_t synth_count(const struct synth *s)
{
	return s->n;
}
