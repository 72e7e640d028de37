#include "box/box.h"

#include "base/log.h"
#include "box/box_impl.h"
#include "box/control.h"
#include "box/definition.h"
#include "box/display.h"
#include "box/state.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int box_name(struct box_spec *spec, const struct slot *slot, struct err **e)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char bytes[6];
	char tail[sizeof(bytes) + 1];
	const char *dash = strrchr(slot->id, '-');

	if (spec->name)
		return 0;
	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return err_errno(e, errno, "cannot get random bytes");
	for (size_t i = 0; i < sizeof(bytes); i++)
		tail[i] = letters[bytes[i] & 31];
	tail[sizeof(bytes)] = '\0';
	spec->name = xasprintf("%.*s-%s", (int)(dash ? dash - slot->id : 20), slot->id, tail);
	return 0;
}

int box_make(const struct kind *kind, struct box_spec *spec, struct slot *slot, char *const *command, struct box **ret,
	     struct err **e)
{
	struct box *box = xcalloc(1, sizeof(*box));
	_cleanup_str_ struct str line = STR_INIT;
	int r;

	*box = (struct box){.kind = kind, .spec = spec, .slot = slot, .dir = -1, .lock = -1, .listener = -1};
	box->running = (struct kind_box){.spec = spec, .slot = slot, .cgroup = -1, .link = -1, .pidfd = -1};
	r = box_name(spec, slot, e);
	for (; command && *command && line.len < 4096; command++) {
		str_adds(&line, line.len ? " " : "");
		str_add_quoted(&line, *command);
	}
	box->command = str_take(&line);
	if (r == 0)
		r = box_claim(spec->name, spec->ephemeral ? BOX_FLEETING : BOX_STAYING,
			      spec->defined ? BOX_CLAIM_DEFINED : BOX_CLAIM_NEW, &box->dir, &box->lock, e);
	if (r < 0) {
		box_free(box);
		return r;
	}
	box->since = time(NULL);
	*ret = box;
	return 0;
}

/* Where the screen of its machine can be seen. */
static int add_screen(struct box *box, struct err **e)
{
	struct display display;
	int r = display_parse(box->spec->machine.display, &display, e);

	if (r < 0 || display.how != DISPLAY_VNC)
		return r;
	return boxports_add_screen(box->ports, display.port, e);
}

int box_start(struct box *box, struct err **e)
{
	_cleanup_close_ int starting = file_lock(box->slot->dir, "starting.lock", true, true, e);
	int r;

	/* Held shared from before the view is taken until the pid is written: who adds paths to the slot's set waits
	 * for it, and then finds every box that may lack them (box_extend_all()). */
	if (starting < 0)
		return starting;
	r = boxports_new(&box->spec->ports, &box->ports, e);
	if (r == 0)
		r = add_screen(box, e);
	if (r < 0)
		return r;
	if (box->spec->network == BOX_NET_GATE) {
		r = boxnet_new(box->spec, box->slot, &box->net, e);
		if (r == 0)
			r = boxnet_bind(box->net, box->running.secrets, e);
		if (r < 0)
			return r;
		box->running.gateway = boxnet_sockets(box->net);
		boxnet_set_kind(box->net, box->kind, &box->running);
	}
	if (box->ssh_keys && box->ssh_keys->n > 0) {
		box->agent = boxagent_new(box->ssh_keys);
		box->running.agent = boxagent_listener(box->agent);
	}
	r = box->kind->start(&box->running, e);
	if (r == 0 && box->net)
		r = boxnet_begin(box->net, e);
	if (r < 0)
		return r;
	r = state_write(box, -1, false, e);
	if (r == 0)
		r = box->listener = control_listen(box->spec->name, e);
	return r < 0 ? r : 0;
}

void box_stop(struct box *box)
{
	(void)box->kind->stop(&box->running, 0, NULL);
}

int box_record_end(struct box *box, int exit_code, bool stopped, struct err **e)
{
	return state_write(box, exit_code, stopped, e);
}

void box_free(struct box *box)
{
	if (!box)
		return;
	box->kind->destroy(&box->running);
	boxports_free(box->ports);
	boxagent_free(box->agent);
	boxnet_free(box->net);
	(void)close_fd(box->listener);
	if (box->lock >= 0 && box->listener >= 0)
		control_remove(box->spec->name);
	if (box->lock >= 0 && box->spec->ephemeral) {
		_cleanup_close_ int boxes = box_open_place(BOX_FLEETING, NULL);

		(void)state_remove(boxes, box->spec->name, box->dir);
	}
	(void)close_fd(box->lock);
	(void)close_fd(box->dir);
	free(box->command);
	free(box);
}

/* --- from outside ------------------------------------------------------------------------------------------- */

void box_info_release(struct box_info *info)
{
	free(info->name);
	free(info->slot);
	free(info->workspace);
	free(info->kind);
	free(info->command);
	free(info->mode);
	free(info->json);
	*info = (struct box_info){0};
}

int box_open_file(const char *name, const char *file, int flags, struct err **e)
{
	_cleanup_close_ int boxes = box_open_place_of(name, e);
	_cleanup_free_ char *path = xasprintf("%s/%s", name, file);
	int fd;

	if (boxes < 0)
		return boxes;
	fd = file_open_beneath(boxes, path, flags, 0);
	return fd < 0 ? err_errno(e, -fd, "box '%s': cannot open its %s", name, file) : fd;
}

static int no_such_box(int boxes, const char *name, struct err **e)
{
	_cleanup_close_ int copy = openat(boxes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *near = NULL;
	const struct dirent *ent;
	size_t best = 3;
	DIR *d;

	(void)err_set(e, ENOENT, "there is no box called '%s'", name);
	d = copy < 0 ? NULL : fdopendir(copy);
	if (!d)
		return -ENOENT;
	(void)take_fd(&copy);
	while ((ent = readdir(d))) {
		if (ent->d_name[0] != '.' && str_distance(name, ent->d_name) < best) {
			best = str_distance(name, ent->d_name);
			free(near);
			near = xstrdup(ent->d_name);
		}
	}
	(void)closedir(d);
	return near ? err_hint(e, "did you mean '%s'?", near) : err_hint(e, "igloo ls shows those there are");
}

/* What its state does not tell, because it was never started. */
static void look_at_definition(int dir, struct box_info *ret)
{
	_cleanup_definition_ struct definition d = {.directory = NULL};
	_cleanup_str_ struct str line = STR_INIT;

	ret->defined = true;
	if (ret->json || definition_read(dir, &d, NULL) < 0)
		return;
	for (size_t i = 0; i < d.command.n; i++) {
		str_adds(&line, i > 0 ? " " : "");
		str_add_quoted(&line, d.command.v[i]);
	}
	ret->slot = take_ptr(d.slot);
	ret->workspace = take_ptr(d.repository);
	ret->kind = take_ptr(d.kind);
	ret->mode = take_ptr(d.mode);
	ret->command = str_take(&line);
	ret->since = (time_t)d.created;
}

static int look_in(int boxes, const char *name, struct box_info *ret, struct err **e)
{
	_cleanup_close_ int dir = file_open_beneath(boxes, name, O_RDONLY | O_DIRECTORY, 0);
	pid_t pid = 0;
	bool running;
	bool defined;
	int r;

	if (dir < 0)
		return no_such_box(boxes, name, e);
	running = file_is_locked(dir, "lock", &pid);
	defined = definition_exists(dir);
	r = state_read(dir, ret, e);
	if ((running || defined) && (r == -ENOENT || r == -EBADMSG)) {
		/* Being started, or defined and not started yet; or its file is damaged, and it must be possible to
		 * stop it. */
		err_clear(e);
		*ret = (struct box_info){.exit_code = -1, .stopped = r == -EBADMSG};
		r = 0;
	}
	if (r < 0)
		return err_wrap(e, "box '%s'", name);
	if (defined)
		look_at_definition(dir, ret);
	ret->starting = defined && !running && file_is_locked(dir, DEFINITION_START_LOCK, &pid);
	free(ret->name);
	ret->name = xstrdup(name);
	ret->running = running;
	ret->supervisor = running || ret->starting ? pid : 0;
	if (!running)
		ret->guest = 0;
	return 0;
}

int box_look(const char *name, struct box_info *ret, struct err **e)
{
	_cleanup_close_ int boxes = box_open_place_of(name, e);

	return boxes < 0 ? boxes : look_in(boxes, name, ret, e);
}

/* Takes the lock of a box that does not run, so that nobody starts it meanwhile, and removes it. */
static int remove_ended(int boxes, const char *name, struct err **e)
{
	_cleanup_close_ int dir = file_open_beneath(boxes, name, O_RDONLY | O_DIRECTORY, 0);
	_cleanup_close_ int lock = -1;
	int r;

	if (dir < 0)
		return no_such_box(boxes, name, e);
	lock = file_lock(dir, "lock", false, false, e);
	if (lock == -EWOULDBLOCK) {
		(void)err_set(e, EBUSY, "box '%s' is running", name);
		return err_hint(e, "igloo stop %s, or: igloo rm --force %s", name, name);
	}
	if (lock < 0)
		return lock;
	if (file_is_locked(dir, DEFINITION_START_LOCK, NULL)) {
		(void)err_set(e, EBUSY, "box '%s' is being started", name);
		return err_hint(e, "igloo stop %s, or: igloo rm --force %s", name, name);
	}
	control_remove(name);
	r = file_is_named(dir, boxes, name) ? file_remove_locked(boxes, name, dir) : 0;
	return r < 0 ? err_errno(e, -r, "cannot remove box '%s'", name) : 0;
}

int box_remove(const char *name, struct err **e)
{
	_cleanup_close_ int boxes = box_open_place_of(name, e);

	return boxes < 0 ? boxes : remove_ended(boxes, name, e);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct box_info *)a)->name, ((const struct box_info *)b)->name);
}

/* Adds the boxes of one folder; removes what killed supervisors left in it, and folders with a damaged state. */
static int list_place(int place, struct box_info **list, size_t *n, struct err **e)
{
	_cleanup_close_ int boxes = box_open_place(place, e);
	_cleanup_close_ int copy = boxes < 0 ? -1 : openat(boxes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_strv_ struct strv names = STRV_INIT;
	const struct dirent *ent;
	DIR *d;

	if (boxes < 0)
		return boxes;
	d = copy < 0 ? NULL : fdopendir(copy);
	if (!d)
		return err_errno(e, errno, "cannot list the boxes");
	(void)take_fd(&copy);
	while ((ent = readdir(d)))
		if (ent->d_name[0] != '.')
			strv_add(&names, ent->d_name);
	(void)closedir(d);
	*list = xrealloc_array(*list, *n + names.n + 1, sizeof(**list));
	for (size_t i = 0; i < names.n; i++) {
		struct box_info info = {0};

		if (look_in(boxes, names.v[i], &info, NULL) < 0 || (!info.running && info.ephemeral)) {
			box_info_release(&info);
			(void)remove_ended(boxes, names.v[i], NULL);
			continue;
		}
		(*list)[(*n)++] = info;
	}
	return 0;
}

int box_list(struct box_info **ret, size_t *ret_n, struct err **e)
{
	struct box_info *list = NULL;
	size_t n = 0;
	int r = 0;

	for (int place = 0; place < BOX_PLACES && r == 0; place++)
		r = list_place(place, &list, &n, e);
	for (size_t i = 0; kinds[i]; i++)
		if (kinds[i]->sweep)
			kinds[i]->sweep();
	if (r < 0) {
		box_list_free(list, n);
		return r;
	}
	if (n > 0)
		qsort(list, n, sizeof(*list), by_name);
	*ret = list;
	*ret_n = n;
	return 0;
}

void box_list_free(struct box_info *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		box_info_release(&list[i]);
	free(list);
}

int box_extend_all(const char *slot_id, const struct hostpath *paths, size_t n, struct err **e)
{
	struct box_info *list = NULL;
	size_t count = 0;
	int r = box_list(&list, &count, e);

	for (size_t i = 0; i < count && r == 0; i++) {
		const struct kind *kind;

		if (!list[i].running || list[i].guest == 0 || !list[i].slot || strcmp(list[i].slot, slot_id) != 0)
			continue;
		r = kind_find(list[i].kind, &kind, e);
		if (r == 0)
			r = kind->extend(list[i].guest, paths, n, e);
		if (r < 0) {
			struct box_info now = {0};

			/* It may just have ended. */
			if (box_look(list[i].name, &now, NULL) < 0 || !now.running) {
				err_clear(e);
				r = 0;
			} else {
				(void)err_wrap(e, "box '%s'", list[i].name);
			}
			box_info_release(&now);
		}
	}
	box_list_free(list, count);
	return r;
}

char *box_using_slot(const char *slot_id)
{
	struct box_info *list = NULL;
	char *name = NULL;
	size_t n = 0;

	if (box_list(&list, &n, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < n && !name; i++)
		if (list[i].running && list[i].slot && strcmp(list[i].slot, slot_id) == 0)
			name = xstrdup(list[i].name);
	box_list_free(list, n);
	return name;
}

int box_connect(const char *name, struct err **e)
{
	struct box_info info = {0};
	int r = box_look(name, &info, e);

	if (r == 0 && !info.running) {
		(void)err_set(e, ESRCH, "box '%s' is not running", name);
		r = info.defined ? err_hint(e, "to start it: igloo start %s", name)
				 : err_hint(e, "igloo ls shows what runs; igloo rm %s removes it", name);
	}
	box_info_release(&info);
	return r < 0 ? r : control_connect(name, e);
}
