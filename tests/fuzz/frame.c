/* Bytes as a guest, or a host, might receive them: frames, and what is in them. The first byte says how many
 * bytes arrive at once. */
#include "fuzz.h"

#include "base/mem.h"
#include "wire/exec.h"
#include "wire/frame.h"
#include "wire/msg.h"

#include <string.h>

static void look_at(const struct exec *x)
{
	size_t n = strlen(x->cwd);

	for (size_t i = 0; x->argv[i]; i++)
		n += strlen(x->argv[i]);
	for (size_t i = 0; x->env[i]; i++)
		n += strlen(x->env[i]);
	if (n > EXEC_BYTES_MAX || !x->argv[0])
		abort();
}

static int handle(struct exec_parts *parts, const struct frame *f)
{
	struct msg_hello hello;
	struct msg_exit end;
	struct msg_err err;
	struct exec x;
	uint16_t port;
	int r, v;

	switch (f->type) {
	case FRAME_EXEC:
		r = exec_feed(parts, f, &x);
		if (r == 1) {
			look_at(&x);
			exec_release(&x);
		}
		return r;
	case FRAME_DIAL:
	case FRAME_DIALED:
		return msg_get_port(f, &port);
	case FRAME_HELLO:
		return msg_get_hello(f, &hello);
	case FRAME_EXIT:
		return msg_get_exit(f, &end);
	case FRAME_ERR:
		return msg_get_err(f, &err);
	case FRAME_SIGNAL:
		return msg_get_signal(f, &v);
	case FRAME_STARTED:
		return msg_get_pid(f, &v);
	case FRAME_SHUTDOWN:
		(void)msg_get_grace(f);
		return 0;
	default:
		return f->len == MSG_PING_BYTES ? 0 : -1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct frame_decoder d;
	struct exec_parts parts = {0};
	size_t step = size > 0 && data[0] ? data[0] : FRAME_MAX;
	int r = 0;

	d.begin = d.end = 0;
	for (size_t at = 1; at < size && r >= 0;) {
		size_t room, n = size - at < step ? size - at : step;
		uint8_t *to = frame_room(&d, &room);
		struct frame f;

		if (room == 0)
			abort();
		n = n < room ? n : room;
		memcpy(to, data + at, n);
		frame_grew(&d, n);
		at += n;
		while (r >= 0 && (r = frame_next(&d, &f)) == 1)
			r = handle(&parts, &f);
	}
	exec_parts_release(&parts);
	return 0;
}

FUZZ_MAIN()
