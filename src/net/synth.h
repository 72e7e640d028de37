/* Synthetic addresses: each name that a box may reach gets one, and the address of the accepted socket says which name
 * was meant.
 *
 * Addresses are given out in the order of the first question and stay a name's for the box's life: programs keep what
 * they resolved for hours. Addresses end with .0 or .255 are skipped, and the first 256. When all are given out, names
 * get none (a box that asks for 100 000 names of a wildcard only harms itself). */
#ifndef IGLOO_NET_SYNTH_H
#define IGLOO_NET_SYNTH_H

#include "net/hostname.h"

#include <stddef.h>
#include <stdint.h>

enum { SYNTH_NAMES_MAX = 65536 };

struct synth;

/* `base` in host order, of a /15 (198.18.0.0 in a box). */
struct synth *synth_new(uint32_t base);
void synth_free(struct synth *s); /* accepts NULL */
/* The address of `name`, host order, made at the first call; 0 when there are no more. */
uint32_t synth_address(struct synth *s, const char *name);
/* The name behind an address, NULL when none was given out. Valid as long as the table. */
const char *synth_name(const struct synth *s, uint32_t address);
size_t synth_count(const struct synth *s);

#endif
