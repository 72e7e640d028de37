/* Whether a machine boots or goes on from memory, and who makes what it can go on from (template.h).
 *
 * Theory of operation. A machine's memory before it has anything of its box is the same for all that are made alike, so
 * it can be kept. The first start boots. When its guest has said HELLO, a process that is nobody's child makes the
 * template: at the lowest priority, within JOB_S seconds, one for each user at a time. It is not made of the first
 * machine itself: that would wait for it, and its QEMU has the box's files. It is not made at the end: that of a
 * machine that stays is far. The next start finds it.
 *
 * When a machine that goes on does not get to HELLO, it boots in the same box (guest/vmstart.c); its template is then
 * removed and not made again for a day. */
#ifndef IGLOO_KIND_VM_WARM_H
#define IGLOO_KIND_VM_WARM_H

#include "base/err.h"
#include "kind/vm/enclosure.h"
#include "kind/vm/machine.h"
#include "kind/vm/vmcache.h"

enum warm_mode {
	WARM_AUTO,
	WARM_NEVER, /* it boots, and nothing is made */
	WARM_MUST,  /* what is not there is made first */
};

/* "auto", "cold", "warm"; NULL: what $IGLOO_VM_START says, else auto. -EINVAL naming them. */
int warm_parse(const char *name, enum warm_mode *ret, struct err **e);

struct warm_wish {
	enum warm_mode mode;
	const char *why_not; /* this machine cannot, because …; NULL: it can */
	const char *kernel;  /* as files of this host */
	const char *initrd;
	bool kvm;
	int hello_ms;
	const struct machine *machine;
};

/* *ret_template is the path of what it goes on from, which the caller frees, or NULL: it boots. For WARM_MUST -errno
 * when it cannot be had. What is to be made later is remembered, for the
 * machine that this process started last. */
int warm_choose(const struct warm_wish *w, char **ret_template, struct err **e);

/* The machine's guest has said HELLO: begins to make what was found missing. */
void warm_started(void);
/* The machine did not go on from its template, because … */
void warm_spoiled(const char *why);

/* The folder of the cache, for those that look at templates. `ret` refers to *ret_path, which the caller frees, and to
 * a descriptor that the caller closes. */
int warm_cache(struct vmcache *ret, char **ret_path, struct err **e);
/* How many machines are kept, and their bytes on the disk; and, if `drop`, removes them all. */
int warm_look(bool drop, size_t *ret_n, uint64_t *ret_bytes, struct err **e);

#endif
