/* Where igloo keeps things: the XDG folders, made on first use, private (0700) and the user's own. */
#ifndef IGLOO_BOX_DIRS_H
#define IGLOO_BOX_DIRS_H

#include "base/err.h"

enum dirs_kind {
	DIRS_STATE,   /* $XDG_STATE_HOME/igloo, else ~/.local/state/igloo: boxes, slots */
	DIRS_CACHE,   /* $XDG_CACHE_HOME/igloo, else ~/.cache/igloo: what can be made again */
	DIRS_CONFIG,  /* $XDG_CONFIG_HOME/igloo, else ~/.config/igloo */
	DIRS_DATA,    /* $XDG_DATA_HOME/igloo, else ~/.local/share/igloo: start scripts */
	DIRS_RUNTIME, /* $XDG_RUNTIME_DIR/igloo, else /run/user/UID/igloo, for root /run/igloo, else the state
		       folder's run/: sockets, boxes made for one command */
};

/* Opens the sub-folder `sub` ("" for the folder itself) of a kind, making what is missing. Returns a
 * descriptor. Refuses a folder that another user owns. */
int dirs_open(enum dirs_kind kind, const char *sub, struct err **e);
/* The path of the same, for messages and for programs that need a name; the caller frees it. The folder
 * need not exist. -ENOENT when neither the variable nor a home tells where. */
int dirs_path(enum dirs_kind kind, const char *sub, char **ret, struct err **e);

#endif
