/* The user's terminal. */
#ifndef IGLOO_SYS_TTY_H
#define IGLOO_SYS_TTY_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>
#include <unistd.h>

/* What a terminal was like before a command got it, to be put back whatever the command did to it. */
struct tty_saved {
	int fd; /* -1: there was none */
	struct termios settings;
	pid_t foreground; /* process group that had it; 0 when that was not ours */
};

/* Looks at the first of stdin, stdout, stderr that is a terminal. */
void tty_save(struct tty_saved *ret);
void tty_restore(const struct tty_saved *saved);
/* The terminal gives and takes bytes as they are; undone by tty_restore(). Returns 0 or -errno. */
int tty_raw(const struct tty_saved *saved);
/* Rows and columns; 24 x 80 when fd does not tell. */
void tty_size(int fd, uint16_t *ret_rows, uint16_t *ret_cols);
/* Asks on stderr and reads a line from the terminal `fd` that it does not show: at most `size` bytes, its '\n' among
 * them unless Ctrl-D ended it. A signal that ends or stops igloo meanwhile finds the terminal as it was. */
int tty_ask_hidden(int fd, const char *prompt, char *buf, size_t size, size_t *ret_n);
int tty_set_size(int fd, uint16_t rows, uint16_t cols);

#endif
