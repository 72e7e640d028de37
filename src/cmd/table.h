/* A table for people: columns as wide as what is in them, cut to the terminal's width. */
#ifndef IGLOO_CMD_TABLE_H
#define IGLOO_CMD_TABLE_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { TABLE_COLUMNS_MAX = 10 };

struct table_column {
	const char *title;
	bool right;     /* numbers */
	bool keeps_end; /* cut at the front: paths */
	unsigned least; /* may be cut to so many columns on a narrow terminal; 0: never cut */
};

struct table {
	const struct table_column *columns;
	size_t n;
	struct strv cells; /* printable, row by row */
};

/* Adds a cell; its text may be any bytes. */
void table_add(struct table *t, const char *text);
void table_addf(struct table *t, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* Adds the rows below their titles, at most `width` columns wide (0: any). */
void table_show(const struct table *t, unsigned width, struct str *to);
void table_release(struct table *t);
/* Of stdout; 0 when it is no terminal. */
unsigned table_width(void);

/* "3 minutes", "2 days": how long `seconds` are, roughly. "?" when negative: the clock was set back meanwhile. */
char *table_ago(int64_t seconds);

#endif
