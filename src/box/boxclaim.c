/* Whose a name is: see box_impl.h. */
#include "box/box_impl.h"

#include "box/box.h"
#include "box/definition.h"
#include "box/dirs.h"
#include "box/state.h"
#include "sys/file.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>

int box_open_place(int place, struct err **e)
{
	return place == BOX_FLEETING ? dirs_open(DIRS_RUNTIME, "fleeting", e) : dirs_open(DIRS_STATE, "boxes", e);
}

int box_open_place_of(const char *name, struct err **e)
{
	int boxes = -1;

	for (int place = 0; place < BOX_PLACES; place++) {
		struct stat st;

		(void)close_fd(boxes);
		boxes = box_open_place(place, e);
		if (boxes < 0 || fstatat(boxes, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			break;
	}
	return boxes;
}

/* With the lock held: is this the folder of a box that somebody means to come back to? */
static bool is_kept(int dir)
{
	struct box_info info = {0};
	bool kept = definition_exists(dir) || (state_read(dir, &info, NULL) == 0 && !info.ephemeral);

	box_info_release(&info);
	return kept;
}

/* Makes the folder, if it is not there, and takes its lock; -EWOULDBLOCK when another box has it. Who lists boxes asks
 * every lock for a moment, and removes a folder that nobody holds, under its lock: what looks taken or is suddenly gone
 * is tried again. */
static int claim(int boxes, const char *name, int *ret_dir, int *ret_lock, struct err **e)
{
	enum { TRIES = 50 };
	const struct timespec pause = {.tv_nsec = 2000000};
	int r = 0;

	for (int i = 0; i < TRIES; i++) {
		_cleanup_close_ int dir = -1;
		_cleanup_close_ int lock = -1;

		if (i > 0)
			(void)nanosleep(&pause, NULL);
		err_clear(e);
		if (mkdirat(boxes, name, 0700) < 0 && errno != EEXIST)
			return err_errno(e, errno, "cannot make box '%s'", name);
		r = dir = file_open_beneath(boxes, name, O_RDONLY | O_DIRECTORY, 0);
		if (r >= 0)
			r = lock = file_lock(dir, "lock", false, false, e);
		if (r >= 0 && file_is_named(dir, boxes, name)) {
			*ret_dir = take_fd(&dir);
			*ret_lock = take_fd(&lock);
			return 0;
		}
		if (r >= 0)
			r = -ENOENT;
		if (r != -ENOENT && r != -EWOULDBLOCK)
			break;
	}
	return r == -EWOULDBLOCK || (e && *e) ? r : err_errno(e, -r, "cannot make box '%s'", name);
}

/* Whether the other folder has a box of that name. */
static int taken_elsewhere(int place, const char *name, struct err **e)
{
	_cleanup_close_ int others = box_open_place(!place, e);
	_cleanup_close_ int other = others < 0 ? -1 : file_open_beneath(others, name, O_RDONLY | O_DIRECTORY, 0);

	if (others < 0)
		return others;
	return other >= 0 && (file_is_locked(other, "lock", NULL) || is_kept(other));
}

static int refuse(const char *name, bool runs, struct err **e)
{
	_cleanup_close_ int boxes = box_open_place_of(name, NULL);
	_cleanup_close_ int dir = boxes < 0 ? -1 : file_open_beneath(boxes, name, O_RDONLY | O_DIRECTORY, 0);

	(void)err_set(e, EEXIST, "there is already a box called '%s'", name);
	if (dir >= 0 && definition_exists(dir))
		return err_hint(e, "to run it: igloo start %s; for another: choose another name, or igloo rm %s first",
				name, name);
	return err_hint(e, "choose another --name, or: igloo %s %s", runs ? "stop" : "rm", name);
}

static int claim_defined(int boxes, const char *name, int *ret_dir, int *ret_lock, struct err **e)
{
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int lock = -1;
	int r = claim(boxes, name, &dir, &lock, e);

	if (r == -EWOULDBLOCK)
		return err_set(e, EALREADY, "box '%s' runs already", name);
	if (r == 0 && !definition_exists(dir)) {
		(void)state_remove(boxes, name, dir);
		r = err_set(e, ENOENT, "box '%s' was removed meanwhile", name);
	}
	if (r < 0)
		return r;
	*ret_dir = take_fd(&dir);
	*ret_lock = take_fd(&lock);
	return 0;
}

int box_claim(const char *name, int place, enum box_claim_for what, int *ret_dir, int *ret_lock, struct err **e)
{
	_cleanup_close_ int boxes = box_open_place(place, e);
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int lock = -1;
	int r;

	if (boxes < 0)
		return boxes;
	if (what == BOX_CLAIM_DEFINED)
		return claim_defined(boxes, name, ret_dir, ret_lock, e);
	r = claim(boxes, name, &dir, &lock, e);
	if (r == -EWOULDBLOCK)
		return refuse(name, true, e);
	if (r == 0 && is_kept(dir))
		return refuse(name, false, e);
	if (r == 0)
		r = taken_elsewhere(place, name, e);
	if (r > 0) {
		(void)state_remove(boxes, name, dir);
		return refuse(name, false, e);
	}
	if (r < 0)
		return r;
	*ret_dir = take_fd(&dir);
	*ret_lock = take_fd(&lock);
	return 0;
}
