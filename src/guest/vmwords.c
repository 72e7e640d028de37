#include "guest/vmwords.h"

#include <string.h>

#define PANIC "Kernel panic - not syncing: "

static void keep_last(struct vmwords *w, const char *bytes, size_t n)
{
	size_t keep;

	if (n > sizeof(w->last)) {
		bytes += n - sizeof(w->last);
		n = sizeof(w->last);
	}
	keep = w->n + n > sizeof(w->last) ? sizeof(w->last) - n : w->n;
	memmove(w->last, w->last + w->n - keep, keep);
	memcpy(w->last + keep, bytes, n);
	w->n = keep + n;
}

/* A line is NUL-terminated, without its end. */
static bool take_line(struct vmwords *w)
{
	const char *panic = strstr(w->line, PANIC);
	size_t n = sizeof(VMSTAGE_LINE) - 1;
	unsigned stage;

	/* The first is the reason; what follows says how it ends. */
	if (panic && !w->panic[0])
		memcpy(w->panic, panic + sizeof(PANIC) - 1, strlen(panic + sizeof(PANIC) - 1) + 1);
	if (strncmp(w->line, VMSTAGE_LINE, n) != 0 || w->line[n] < '1' || w->line[n + 1] != '\0')
		return false;
	stage = (unsigned)(w->line[n] - '0');
	if (stage >= VMSTAGES || stage <= (unsigned)w->stage)
		return false;
	w->stage = (enum vmstage)stage;
	return true;
}

bool vmwords_add(struct vmwords *w, const char *bytes, size_t n)
{
	bool news = false;

	keep_last(w, bytes, n);
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n') {
			w->line[w->line_n] = '\0';
			w->line_n = 0;
			news |= take_line(w);
		} else if (bytes[i] != '\r' && bytes[i] != '\0' && w->line_n + 1 < sizeof(w->line)) {
			w->line[w->line_n++] = bytes[i];
		}
	}
	return news;
}

const char *vmwords_last_line(const struct vmwords *w, size_t *ret_n)
{
	size_t end = w->n;
	size_t begin;

	while (end > 0 && strchr(" \r\n", w->last[end - 1]))
		end--;
	for (begin = end; begin > 0 && w->last[begin - 1] != '\n';)
		begin--;
	*ret_n = end - begin;
	return w->last + begin;
}
