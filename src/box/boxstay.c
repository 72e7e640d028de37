/* Boxes with a definition: see box.h. */
#include "box/box.h"

#include "box/box_impl.h"
#include "box/state.h"
#include "sys/file.h"

#include <errno.h>
#include <time.h>

int box_define(const char *name, const struct definition *d, struct err **e)
{
	_cleanup_close_ int boxes = box_open_place(BOX_STAYING, e);
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int lock = -1;
	int r = boxes < 0 ? boxes : box_claim(name, BOX_STAYING, BOX_CLAIM_NEW, &dir, &lock, e);

	if (r < 0)
		return r;
	r = definition_write(dir, d, e);
	if (r < 0)
		(void)state_remove(boxes, name, dir);
	return r < 0 ? err_wrap(e, "cannot keep box '%s'", name) : 0;
}

static int open_defined(const char *name, struct err **e)
{
	struct box_info info = {0};
	int r = box_look(name, &info, e);
	bool defined = info.defined;

	box_info_release(&info);
	if (r < 0)
		return r;
	if (!defined) {
		(void)err_set(e, ENOENT, "box '%s' is none that stays: it was made by igloo run, for one command",
			      name);
		return err_hint(e, "igloo create makes boxes that start again");
	}
	return box_open_file(name, ".", O_RDONLY | O_DIRECTORY, e);
}

int box_definition(const char *name, struct definition *ret, struct err **e)
{
	_cleanup_close_ int dir = open_defined(name, e);
	int r = dir < 0 ? dir : definition_read(dir, ret, e);

	if (dir < 0 || r == 0)
		return r;
	(void)err_wrap(e, "box '%s'", name);
	if (r == -ENOTSUP)
		return err_hint(e, "use that igloo; or, to make it anew with this one: igloo rm %s, then igloo create",
				name);
	if (r == -EBADMSG)
		return err_hint(e, "make it anew: igloo rm %s, then igloo create; what slots and clones hold stays",
				name);
	return r;
}

int box_lock_start(const char *name, struct err **e)
{
	enum { TRIES = 50 };
	const struct timespec pause = {.tv_nsec = 4000000};
	_cleanup_close_ int dir = open_defined(name, e);
	_cleanup_close_ int lock = -EWOULDBLOCK;
	pid_t pid = 0;

	if (dir < 0)
		return dir;
	/* Who lists boxes asks the lock for a moment. */
	for (int i = 0; i < TRIES && lock == -EWOULDBLOCK; i++) {
		if (i > 0)
			(void)nanosleep(&pause, NULL);
		lock = file_lock(dir, DEFINITION_START_LOCK, false, false, e);
	}
	if (lock == -EWOULDBLOCK && file_is_locked(dir, DEFINITION_START_LOCK, &pid))
		return err_set(e, EALREADY, "box '%s' is being started by process %d", name, (int)pid);
	if (lock == -EWOULDBLOCK)
		return err_set(e, EALREADY, "box '%s' is being started", name);
	if (lock < 0)
		return lock;
	if (file_is_locked(dir, "lock", NULL))
		return err_set(e, EALREADY, "box '%s' runs already", name);
	return take_fd(&lock);
}
