/* The rules of box/protect.h by name only: for files that igloo itself writes on a box's behalf (`igloo cp`). */
#ifndef IGLOO_BOX_PROTECTNAME_H
#define IGLOO_BOX_PROTECTNAME_H

#include <stdbool.h>

/* The rule (of protect_rule_names) that protects the absolute path, NULL for none: a name of the workspace's rules in a
 * folder that is a repository or a flake now, anything below it; and in whatever lies below a ".git" what the rules
 * have of a git folder, and a ".git" that is no folder (`folder` says what `path` is), since it may name any folder as
 * one. Letters count in either case, as there are file systems that know no difference. The path is free of links, "."
 * and "..". */
const char *protectname_rule(const char *path, bool folder);

#endif
