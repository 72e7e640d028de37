#include "cmd/slotalone.h"

#include "base/name.h"
#include "box/box.h"

#include <errno.h>

static int say_box(const char *id, const char *box, struct err **e)
{
	(void)err_set(e, EBUSY, "slot '%s' is in use by box '%s'", id, box);
	return err_hint(e, "igloo stop %s", box);
}

int slotalone_open(const char *id, struct slot **ret, struct err **e)
{
	_cleanup_free_ char *box = NULL;
	int r = name_check(id, e);

	if (r == 0)
		r = slot_open_id(id, true, ret, e);
	if (r == -ENOENT) {
		(void)err_set(e, ENOENT, "there is no slot '%s'", id);
		return err_hint(e, "igloo slot ls shows those there are");
	}
	if (r != -EBUSY)
		return r;
	box = box_using_slot(id);
	return box ? say_box(id, box, e) : err_hint(e, "igloo ls shows the boxes that run");
}

int slotalone_of(const char *box_or_slot, char **ret_box, struct slot **ret, struct err **e)
{
	_cleanup_err_ struct err *no_box = NULL;
	struct box_info info = {0};
	int r = name_check(box_or_slot, e);

	if (r < 0)
		return r;
	if (box_look(box_or_slot, &info, &no_box) == 0 && info.slot) {
		r = slotalone_open(info.slot, ret, e);
		if (r == 0)
			*ret_box = xstrdup(box_or_slot);
	} else {
		r = slotalone_open(box_or_slot, ret, e);
	}
	if (r == -ENOENT && !info.slot) {
		(void)err_set(e, ENOENT, "there is no box and no slot '%s'", box_or_slot);
		(void)err_hint(e, "igloo ls and igloo slot ls show those there are");
	}
	box_info_release(&info);
	return r;
}
