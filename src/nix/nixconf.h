/* The binary caches in the user's own Nix configuration, and the keys that sign them.
 *
 * Read as Nix reads it (src/libutil/config.cc, AbstractConfig::applyConfig(); src/libstore/globals.cc, loadConfFile()),
 * later settings over earlier ones: /etc/nix/nix.conf ($NIX_CONF_DIR), then the user's files ($NIX_USER_CONF_FILES, or
 * nix/nix.conf in the XDG folders), then $NIX_CONFIG; with `include` and `!include`. All other settings mean nothing
 * here: the machine's are for the machine. */
#ifndef IGLOO_NIX_NIXCONF_H
#define IGLOO_NIX_NIXCONF_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Nix's defaults, src/libstore/globals.hh and src/libstore/include/nix/store/globals.hh. */
#define NIXCONF_DEFAULT_CACHE "https://cache.nixos.org/"
#define NIXCONF_DEFAULT_KEY "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="

enum { NIXCONF_HOST_SIZE = 256, NIXCONF_ITEMS_MAX = 64 };

struct nixconf {
	struct strv substituters; /* cache.nixos.org alone where nothing is set */
	struct strv keys;         /* that of cache.nixos.org alone where nothing is set */
};

/* Files that are not there or cannot be read are left out, as are items that are no word of printable ASCII. */
void nixconf_read(struct nixconf *ret);
void nixconf_release(struct nixconf *c);
#define _cleanup_nixconf_ ATTR_CLEANUP(nixconf_release)

/* One configuration text; what it includes is looked for beside `path` (NULL: not followed). For tests and fuzzing. */
void nixconf_add(struct nixconf *c, const char *text, const char *path);

/* The same of a flake's nixConfig, in JSON: what it asks for, which nobody has granted. Members that are neither text
 * nor a list of texts are left out. -EINVAL or -EFBIG where it is no such document. */
int nixconf_read_flake(const char *json, size_t n, struct nixconf *ret, struct err **e);

/* Where a cache is: "example.org", 443. False for what a box cannot be given: schemes other than http and https, and
 * URLs with a user or password in them. */
bool nixconf_cache_host(const char *url, char ret_host[static NIXCONF_HOST_SIZE], uint16_t *ret_port);

#endif
