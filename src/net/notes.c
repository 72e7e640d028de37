#include "net/notes.h"

#include "sys/fd.h"

#include <string.h>
#include <sys/random.h>

void notes_init(struct notes *n, int control)
{
	memset(n, 0, sizeof(*n));
	n->control = control;
	/* Without random bytes the hash is only guessable: a box could hide its own notes behind one another. */
	if (getrandom(&n->key, sizeof(n->key), GRND_NONBLOCK) < 0)
		n->key = (uint64_t)(uintptr_t)n;
}

void notes_forget(struct notes *n)
{
	memset(n->seen, 0, sizeof(n->seen));
	n->next = 0;
}

/* FNV-1a from a secret start, with the last step of murmur3. */
static uint64_t hash(uint64_t key, const struct engine_event *ev)
{
	uint64_t h = 14695981039346656037U ^ key;
	uint32_t head = ev->reason << 16 | ev->port;

	for (int i = 0; i < 32; i += 8)
		h = (h ^ ((head >> i) & 255)) * 1099511628211U;
	for (const char *p = ev->host; *p; p++)
		h = (h ^ (uint8_t)*p) * 1099511628211U;
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdU;
	return (h ^ h >> 33) | 1; /* 0: empty */
}

void notes_add(struct notes *n, enum engine_reason reason, const char *host, uint16_t port, const char *detail)
{
	struct engine_event ev = {.reason = reason, .port = port};
	uint64_t h;

	(void)snprintf(ev.host, sizeof(ev.host), "%s", host);
	(void)snprintf(ev.detail, sizeof(ev.detail), "%s", detail ? detail : "");
	h = hash(n->key, &ev);
	for (size_t i = 0; i < NOTES_MAX; i++)
		if (n->seen[i] == h)
			return;
	if (fd_send(n->control, &ev, sizeof(ev), NULL, 0) < 0) {
		n->dropped++;
		return;
	}
	n->seen[n->next] = h;
	n->next = (n->next + 1) % NOTES_MAX;
}
