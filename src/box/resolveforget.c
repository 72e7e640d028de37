/* When what a slot has of the host's store is damaged, or has vanished there. */
#include "box/resolve.h"

#include "base/log.h"
#include "box/hostpaths.h"
#include "box/hostset.h"
#include "box/resolve_impl.h"
#include "sys/fd.h"

#include <errno.h>

int resolve_reset(struct slot *slot, struct err **e)
{
	_cleanup_close_ int lock = slot_lock_resolve(slot, NULL, e);
	_cleanup_hostpaths_ struct hostpaths set = {0};

	if (lock < 0)
		return lock;
	/* Somebody else may have done it while we waited. */
	if (hostpaths_load(slot->dir, &set, NULL) != -EBADMSG)
		return 0;
	log_note("the set of host paths of slot '%s' is damaged: making it anew", slot->id);
	return hostset_reset(slot, e);
}

int resolve_forget(struct slot *slot, const struct environment_query *q, struct err **e)
{
	_cleanup_close_ int lock = slot_lock_resolve(slot, NULL, e);
	_cleanup_hostpaths_ struct hostpaths set = {0};
	_cleanup_strv_ struct strv vanished = STRV_INIT;
	struct resolve r;
	int k = lock < 0 ? lock : hostpaths_load(slot->dir, &set, e);

	if (k < 0)
		return k;
	hostpaths_vanished(&set, &vanished);
	if (vanished.n == 0)
		return 0;
	k = resolve_begin(&r, slot, q, e);
	if (k == 0)
		k = hostset_forget(&r.nix, &vanished, e);
	resolve_end(&r);
	return k;
}
