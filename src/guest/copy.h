/* The guest's program as a command in the box, for `igloo cp`: whatever a box has or has not, this program it has.
 * /proc/self/exe is it for whom the guest forked, so the host asks for that by an ordinary EXEC with
 * the arguments of wire/copystream.h. It runs as the box's user in the box, with no right that any of its commands has
 * not. */
#ifndef IGLOO_GUEST_COPY_H
#define IGLOO_GUEST_COPY_H

/* Returns the exit code: 0 when the whole answer was written, -1 when `how` is none of these. */
int copy_run(const char *how, const char *path);

#endif
