/* Frames about the connection itself, stream 0: which may come from which side, and who is told. */
#include "wire/bridge_impl.h"

#include "wire/msg.h"

#include <errno.h>

int bridge_on_guest_word(struct bridge *b, const struct frame *f, bool remote)
{
	struct msg_err m;

	switch (f->type) {
	case FRAME_HELLO:
		if (b->greeted)
			return -EPROTO;
		b->greeted = true;
		if (remote && b->ops.on_hello)
			b->ops.on_hello(b->ops.user);
		break;
	case FRAME_PONG:
		if (b->pings == 0)
			return -EPROTO;
		b->pings--;
		break;
	case FRAME_LIMITS:
		if (!remote || b->limits)
			return -EPROTO;
		b->limits = true;
		break;
	case FRAME_ERR:
		if (msg_get_err(f, &m) < 0)
			return -EPROTO;
		if (remote && bridge_lose(b))
			return 0;
		break;
	default:
		return -EPROTO;
	}
	return remote ? bridge_send_local(b, 0, f->type, f->payload, f->len, -1)
		      : bridge_send(b, 0, (enum frame_type)f->type, 0, f->payload, f->len);
}

static uint64_t get64(const uint8_t *p)
{
	return frame_get32(p) | (uint64_t)frame_get32(p + 4) << 32;
}

int bridge_on_host_word(struct bridge *b, const struct frame *f, bool remote)
{
	if (f->type != FRAME_SHUTDOWN && f->type != FRAME_PING && f->type != FRAME_TIME && f->type != FRAME_ROUTE)
		return -EPROTO;
	b->pings += f->type == FRAME_PING;
	if (!remote && f->type == FRAME_SHUTDOWN && b->ops.on_shutdown)
		b->ops.on_shutdown(b->ops.user, msg_get_grace(f));
	if (!remote)
		return bridge_send(b, 0, (enum frame_type)f->type, 0, f->payload, f->len);
	if (f->type == FRAME_TIME && b->ops.on_time)
		b->ops.on_time(b->ops.user, get64(f->payload), f->payload[8] != 0);
	if (f->type == FRAME_ROUTE && b->ops.on_route)
		b->ops.on_route(b->ops.user, f->payload);
	return f->type == FRAME_TIME || f->type == FRAME_ROUTE
		       ? 0
		       : bridge_send_local(b, 0, f->type, f->payload, f->len, -1);
}
