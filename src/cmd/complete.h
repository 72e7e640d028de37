/* The three completion scripts, each made from the tables by one file. */
#ifndef IGLOO_CMD_COMPLETE_H
#define IGLOO_CMD_COMPLETE_H

#include "cmd/cmd.h"

/* The word for each hint; from HINT_BOXES on what `igloo __complete` is asked for. */
extern const char *const hint_names[HINTS];

void complete_bash(struct str *s);
void complete_zsh(struct str *s);
void complete_fish(struct str *s);

/* Adds a name as part of a shell function's name: blanks and dashes become underscores. */
void complete_add_id(struct str *s, const char *name);
/* The commands of family `family` (NULL: all first words, each family once), hidden ones left out:
 * calls each(word, summary). For a family in the first list the summary is NULL. */
void complete_words(const char *family, void (*each)(const char *word, const char *summary, void *data), void *data);

#endif
