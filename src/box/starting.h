/* A machine that starts, for whoever waits for it: its stages with -v, and on a terminal a line of what it is at, once
 * a second has gone by. */
#ifndef IGLOO_BOX_STARTING_H
#define IGLOO_BOX_STARTING_H

#include <stdbool.h>
#include <stdint.h>

struct starting {
	int64_t begun_ms;
	int stage;  /* the last that was said with -v; -1: none */
	bool shown; /* a line is on the terminal */
};

void starting_begin(struct starting *s);
/* A STAGE frame's number came, as it does every second at least. */
void starting_stage(struct starting *s, uint8_t stage);
/* HELLO came, or never will. */
void starting_end(struct starting *s, bool started);

#endif
