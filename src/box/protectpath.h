/* Pinning one path of a hostile workspace (box/protect.h). */
#ifndef IGLOO_BOX_PROTECTPATH_H
#define IGLOO_BOX_PROTECTPATH_H

#include "base/err.h"
#include "box/spec.h"

#include <stdbool.h>

/* A protected name: its folder, held, and what stands there. */
struct held {
	int dir;
	char *path; /* absolute */
	char *name; /* its last part */
	const char *rule;
	unsigned flags; /* RULE_* */
	bool placeholder;
};

/* Everything collected about one workspace. */
struct heldset {
	const struct box_spec *spec; /* its shares say what the box can write; may be NULL after collecting */
	struct held *v;
	size_t n;
	struct box_pin *pins;
	size_t npins;
};

/* Pins the absolute path read-only, the folders on the way writable. What no share lets the box write is left
 * alone. What is missing is held by a placeholder with RULE_HOLD, else left. Follows links by pinning both. Returns 1
 * when something is there now, 0 when not, -errno. */
int heldset_add(struct heldset *set, const char *rule, const char *path, unsigned flags, struct err **e);
/* Only makes the placeholder known (for removal) if one is there. */
void heldset_note(struct heldset *set, const char *path, unsigned flags);
/* Gives the pins, in order and each once, to the spec. */
void heldset_give_pins(struct heldset *set, struct box_spec *spec);
void heldset_release(struct heldset *set);

/* Makes the placeholder if nothing is there. 0 when there is something now, its own or not. */
int held_make(struct held *h);
/* Removes what is there if it is a placeholder. */
void held_remove(const struct held *h);

#endif
