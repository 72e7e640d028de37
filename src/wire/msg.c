#include "wire/msg.h"

#include <errno.h>
#include <string.h>

void msg_put_hello(uint8_t out[MSG_HELLO_BYTES], const struct msg_hello *m)
{
	frame_put32(out, m->version);
	frame_put32(out + 4, m->caps);
	memcpy(out + 8, m->nonce, MSG_NONCE);
}

void msg_put_exit(uint8_t out[MSG_EXIT_BYTES], const struct msg_exit *m)
{
	frame_put32(out, m->kind);
	frame_put32(out + 4, m->value);
}

void msg_put_err(uint8_t out[MSG_ERR_BYTES], const struct msg_err *m)
{
	frame_put32(out, m->errnum);
	frame_put32(out + 4, m->stage);
}

void msg_put_stopped(uint8_t out[MSG_STOPPED_BYTES], const struct msg_stopped *m)
{
	frame_put32(out, m->how);
	frame_put32(out + 4, m->ms);
}

void msg_put_limits(uint8_t out[MSG_LIMITS_BYTES], const struct msg_limits *m)
{
	frame_put32(out, m->oom_kills);
	frame_put32(out + 4, m->forks_refused);
}

void msg_put_number(uint8_t out[MSG_NUMBER_BYTES], uint32_t v)
{
	frame_put32(out, v);
}

int msg_get_hello(const struct frame *f, struct msg_hello *ret)
{
	ret->version = frame_get32(f->payload);
	ret->caps = frame_get32(f->payload + 4);
	memcpy(ret->nonce, f->payload + 8, MSG_NONCE);
	return 0;
}

int msg_get_exit(const struct frame *f, struct msg_exit *ret)
{
	struct msg_exit m = {.kind = frame_get32(f->payload), .value = frame_get32(f->payload + 4)};

	if (m.kind == MSG_EXIT_CODE ? m.value > 255 : m.kind != MSG_EXIT_SIGNAL || m.value < 1 || m.value > 64)
		return -EPROTO;
	*ret = m;
	return 0;
}

int msg_get_err(const struct frame *f, struct msg_err *ret)
{
	struct msg_err m = {.errnum = frame_get32(f->payload), .stage = frame_get32(f->payload + 4)};

	if (m.errnum < 1 || m.errnum > 4095 || m.stage < MSG_STAGE_PROTOCOL || m.stage > MSG_STAGE_MACHINE)
		return -EPROTO;
	*ret = m;
	return 0;
}

int msg_get_stopped(const struct frame *f, struct msg_stopped *ret)
{
	struct msg_stopped m = {.how = frame_get32(f->payload), .ms = frame_get32(f->payload + 4)};

	if (m.how > MSG_STOPPED_COMMAND)
		return -EPROTO;
	*ret = m;
	return 0;
}

void msg_get_limits(const struct frame *f, struct msg_limits *ret)
{
	*ret = (struct msg_limits){.oom_kills = frame_get32(f->payload), .forks_refused = frame_get32(f->payload + 4)};
}

int msg_get_port(const struct frame *f, uint16_t *ret)
{
	uint16_t port = frame_get16(f->payload);

	if (port == 0)
		return -EPROTO;
	*ret = port;
	return 0;
}

int msg_get_signal(const struct frame *f, int *ret)
{
	uint32_t v = frame_get32(f->payload);

	if (v < 1 || v > 64)
		return -EPROTO;
	*ret = (int)v;
	return 0;
}

int msg_get_pid(const struct frame *f, int *ret)
{
	uint32_t v = frame_get32(f->payload);

	if (v < 1 || v > INT32_MAX)
		return -EPROTO;
	*ret = (int)v;
	return 0;
}

uint32_t msg_get_grace(const struct frame *f)
{
	return frame_get32(f->payload);
}

const char *msg_stage_name(uint32_t stage)
{
	static const char *const names[] = {
		[MSG_STAGE_PROTOCOL] = "reading a frame",  [MSG_STAGE_START] = "starting a process",
		[MSG_STAGE_PTY] = "opening a terminal",    [MSG_STAGE_USER] = "setting the user",
		[MSG_STAGE_CHDIR] = "entering the folder", [MSG_STAGE_EXEC] = "executing",
		[MSG_STAGE_DIAL] = "connecting",           [MSG_STAGE_MACHINE] = "starting the machine",
	};

	return stage < sizeof(names) / sizeof(names[0]) && names[stage] ? names[stage] : "an unknown step";
}
