#include "wire/frame.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* What a frame of each type looks like; one with neither stream marks a number without a type. */
static const struct {
	uint32_t min;
	uint32_t max;
	uint8_t flags;
	bool connection; /* stream 0 is right */
	bool command;    /* any other stream is right */
} types[] = {
	[FRAME_HELLO] = {24, 24, 0, true, false},
	[FRAME_EXEC] = {1, FRAME_PAYLOAD_MAX, FRAME_MORE, false, true},
	[FRAME_STARTED] = {4, 4, 0, false, true},
	[FRAME_EXIT] = {8, 8, 0, false, true},
	[FRAME_ERR] = {8, 8 + FRAME_WORDS_MAX, 0, true, true},
	[FRAME_SIGNAL] = {4, 4, 0, false, true},
	[FRAME_SHUTDOWN] = {4, 4, 0, true, false},
	[FRAME_PING] = {8, 8, 0, true, false},
	[FRAME_PONG] = {8, 8, 0, true, false},
	[FRAME_RESIZE] = {4, 4, 0, true, true},
	[FRAME_ATTACH] = {4, 4, 0, false, true},
	[FRAME_GRANT] = {1, FRAME_ANSWER_MAX, 0, true, false},
	[FRAME_DIAL] = {2, 2, 0, false, true},
	[FRAME_DIALED] = {2, 2, 0, false, true},
	[FRAME_PORTS] = {1, FRAME_ANSWER_MAX, 0, true, false},
	[FRAME_DATA] = {1, FRAME_PAYLOAD_MAX, FRAME_CHANNEL_MASK, false, true},
	[FRAME_EOF] = {0, 0, FRAME_CHANNEL_MASK, false, true},
	[FRAME_CREDIT] = {4, 4, FRAME_CHANNEL_MASK, false, true},
	[FRAME_TIME] = {9, 9, 0, true, false},
	[FRAME_CLOSE] = {0, 0, FRAME_CHANNEL_MASK, false, true},
	[FRAME_ROUTE] = {5, 5, 0, true, false},
	[FRAME_LIMITS] = {8, 8, 0, true, false},
	[FRAME_STAGE] = {1, 1 + FRAME_WORDS_MAX, 0, true, false},
	[FRAME_STOPPED] = {8, 8, 0, true, false},
	[FRAME_ACCEPT] = {0, 0, 0, false, true},
};

uint16_t frame_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t frame_get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void frame_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

void frame_put32(uint8_t *p, uint32_t v)
{
	frame_put16(p, (uint16_t)v);
	frame_put16(p + 2, (uint16_t)(v >> 16));
}

void frame_put_header(uint8_t out[FRAME_HEADER], uint32_t stream, enum frame_type type, uint8_t flags, uint32_t len)
{
	frame_put32(out, len);
	frame_put32(out + 4, stream);
	out[8] = (uint8_t)type;
	out[9] = flags;
}

uint8_t *frame_room(struct frame_decoder *d, size_t *ret_n)
{
	if (d->begin > 0) {
		memmove(d->buf, d->buf + d->begin, d->end - d->begin);
		d->end -= d->begin;
		d->begin = 0;
	}
	*ret_n = sizeof(d->buf) - d->end;
	return d->buf + d->end;
}

void frame_grew(struct frame_decoder *d, size_t n)
{
	d->end += n;
}

static bool is_legal(const struct frame *f)
{
	if (f->type >= sizeof(types) / sizeof(types[0]))
		return false;
	if (f->len < types[f->type].min || f->len > types[f->type].max)
		return false;
	if (f->flags & ~types[f->type].flags)
		return false;
	return f->stream == 0 ? types[f->type].connection : types[f->type].command;
}

int frame_next(struct frame_decoder *d, struct frame *ret)
{
	const uint8_t *p = d->buf + d->begin;
	struct frame f;

	if (d->end - d->begin < FRAME_HEADER)
		return 0;
	f.len = frame_get32(p);
	f.stream = frame_get32(p + 4);
	f.type = p[8];
	f.flags = p[9];
	f.payload = p + FRAME_HEADER;
	if (!is_legal(&f))
		return -EPROTO;
	if (d->end - d->begin - FRAME_HEADER < f.len)
		return 0;
	d->begin += FRAME_HEADER + f.len;
	*ret = f;
	return 1;
}
