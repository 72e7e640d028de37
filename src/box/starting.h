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
/* What was kept of the machine is no good, so it boots: of guest/vmwords.h. */
enum { STARTING_AGAIN = 6 };

/* A STAGE frame's number and words came, as it does every second at least. */
void starting_stage(struct starting *s, uint8_t stage, const char *words);
/* HELLO came, or never will. */
void starting_end(struct starting *s, bool started);

#endif
