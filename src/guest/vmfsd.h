/* What a virtiofsd beside QEMU needs of vmhost.c. */
#ifndef IGLOO_GUEST_VMFSD_H
#define IGLOO_GUEST_VMFSD_H

/* `--virtiofsd N WORD...` at the front of *argv: makes an argv of the N words, in place, and sets *argv to what is
 * behind them. NULL when that is not there, or is cut short. */
char **vmfsd_take_argv(char ***argv);

/* A socket to listen at, and one that is connected to it already. The name is nobody's: a number that the kernel chose,
 * in the box's network namespace. Returns the connection or -errno. */
int vmfsd_connect(int *ret_listener);

#endif
