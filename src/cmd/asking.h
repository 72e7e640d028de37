/* What the flake asks for (box/requests.h) meets what the user grants: before a box is made. */
#ifndef IGLOO_CMD_ASKING_H
#define IGLOO_CMD_ASKING_H

#include "cmd/enter.h"

/* Decides, with in->record and in->slot there: granted on the command line, before, by --grant-requests, or now by the
 * answer to a question on the terminal, which is then kept for the repository. Fills in in->got with what the box is to
 * have besides what the user gave, and adds secrets to in->secrets. -EACCES when something is not granted; -EINVAL when
 * the requests make no sense; errors of secret_check(). */
int asking_settle(const struct box_options *o, struct enter *in, struct err **e);
/* A question that is put on a terminal, and whether the answer is yes; is there one to put it on? */
bool asking_yes(const struct str *question);
bool asking_terminal(void);
/* With --json nobody is asked anything: as if there were no terminal. */
void asking_forbid(void);
/* Puts in->got into in->spec, once that is filled in. */
int asking_apply(struct enter *in, struct err **e);

#endif
