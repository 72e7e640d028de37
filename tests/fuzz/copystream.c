/* A stream of files as a hostile box might send it, up to what would be made of it. The first byte says how many bytes
 * arrive at once, and whether it is an answer. */
#include "fuzz.h"

#include "base/mem.h"
#include "wire/copystream.h"

#include <string.h>

struct seen {
	unsigned depth;
	uint64_t left;
	bool in_file;
	bool any;
};

/* What the reader relies on. */
static void look_at(struct seen *s, const struct copy_event *e, bool answer)
{
	switch (e->type) {
	case COPY_DIR:
	case COPY_FILE:
	case COPY_LINK:
		if (answer || s->in_file || (s->any && s->depth == 0))
			abort();
		if (!copy_name_ok(e->name, strlen(e->name)) && (s->any || *e->name))
			abort();
		s->any = true;
		s->depth += e->type == COPY_DIR;
		s->in_file = e->type == COPY_FILE;
		s->left = e->type == COPY_FILE ? e->size : 0;
		break;
	case COPY_DATA:
	case COPY_HOLE:
		if (!s->in_file || (e->type == COPY_DATA ? e->n : e->size) > s->left)
			abort();
		s->left -= e->type == COPY_DATA ? e->n : e->size;
		break;
	case COPY_FILE_END:
		if (!s->in_file || s->left > 0)
			abort();
		s->in_file = false;
		break;
	case COPY_UP:
		if (s->depth-- == 0)
			abort();
		break;
	default:
		if (strlen(e->text) > COPY_TEXT_MAX)
			abort();
	}
	if (s->depth > COPY_DEPTH_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct copydec d;
	static struct copy_event e;
	struct seen seen = {0};
	size_t step = size > 0 && data[0] > 1 ? data[0] : COPY_DATA_MAX;
	int r = 0;

	memset(&d, 0, offsetof(struct copydec, buf));
	d.answer = size > 0 && (data[0] & 1);
	for (size_t at = 1; at < size && r >= 0;) {
		size_t room, n = size - at < step ? size - at : step;
		uint8_t *to = copydec_room(&d, &room);

		if (room == 0)
			abort();
		n = n < room ? n : room;
		memcpy(to, data + at, n);
		copydec_grew(&d, n);
		at += n;
		while (r >= 0 && (r = copydec_next(&d, &e)) == 1)
			look_at(&seen, &e, d.answer);
	}
	return 0;
}

FUZZ_MAIN()
