/* Questions on the user's terminal, by fzf where it is installed, else as numbered lists.
 *
 * fzf is a program of the host, found by PATH, started by argv with the user's terminal; it searches nothing (--phony):
 * what is typed is the answer, else the entry that is marked or pointed at. In a list, a number is an entry's and
 * everything else is typed. Either way an answer that does not pass the question's check is said, and asked for again.
 */
#ifndef IGLOO_CMD_MENU_H
#define IGLOO_CMD_MENU_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct menu_entry {
	const char *value; /* "" means none of it */
	const char *label; /* one line; NULL: the value */
};

struct menu_question {
	const char *title;
	const char *how; /* what may be answered, one line */
	const struct menu_entry *entries;
	size_t n;     /* 0: something is typed */
	bool typed;   /* other values than those of the entries may be typed; nothing typed is the first entry */
	bool numbers; /* in a list, a number beyond its entries is typed, too */
	bool several; /* several entries may be chosen; nothing typed or marked is the first */
	/* 0, or an error that says what is wrong with the value; NULL: all are fine. Not called with "". */
	int (*check)(const char *value, void *data, struct err **e);
	void *data;
};

struct menu {
	char *fzf; /* its path; NULL: lists */
};

/* `not_below`: a folder whose programs are not used (the repository), or NULL. */
void menu_open(struct menu *m, const char *not_below);
void menu_close(struct menu *m);
/* Is there a terminal to ask at? */
bool menu_possible(void);
/* Adds the values of the answer, without empty ones. -ECANCELED when the user leaves (Escape, ^C in fzf, the end of
 * input). */
int menu_ask(struct menu *m, const struct menu_question *q, struct strv *ret, struct err **e);

/* The two ways to read an answer, for menu_ask() and tests; errors say what to answer.
 * `line`: what was typed below a numbered list, without its end. */
int menu_read_line(const struct menu_question *q, const char *line, struct strv *ret, struct err **e);
/* `output` of fzf --print-query: what was typed, then the labels chosen, a line each. */
int menu_read_fzf(const struct menu_question *q, const char *output, struct strv *ret, struct err **e);

#endif
