/* What diff, merge and discard have in common: the clone that they are about. */
#ifndef IGLOO_CMD_CLONECMD_H
#define IGLOO_CMD_CLONECMD_H

#include "box/clone.h"
#include "cmd/enter.h"
#include "fmt/json.h"

/* -C and --slot, of a struct box_options at the start of the command's own. */
extern const struct opt clonecmd_opts[];

struct clonecmd {
	struct enter in; /* the repository and its slot */
	struct clone *clone;
	struct clone_box box;
};

/* Opens the clone `name` of the repository. With `look`, git can be run in it. clonecmd_release() it in either
 * case. */
int clonecmd_open(const struct box_options *o, const char *name, bool exclusive, bool look, struct clonecmd *ret,
		  struct err **e);
void clonecmd_release(struct clonecmd *c);
#define _cleanup_clonecmd_ ATTR_CLEANUP(clonecmd_release)

/* Hostile text as JSON and a terminal can hold it. */
json_t *clonecmd_text(const char *text);
json_t *clonecmd_list(const struct strv *v);
void clonecmd_add_lines(struct str *s, const char *lead, const struct strv *v);

#endif
