#include "wire/copyreceive.h"

#include "base/mem.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(struct copyreceive *c, int errnum, const char *words)
{
	str_clear(&c->words);
	str_adds(&c->words, words);
	return -errnum;
}

/* --- paths -------------------------------------------------------------------------------------------------------- */

static size_t path_push(struct copyreceive *c, const char *name)
{
	size_t len = c->path.len;

	if (len > 0 && *name)
		str_addc(&c->path, '/');
	str_adds(&c->path, name);
	return len;
}

static void path_cut(struct copyreceive *c, size_t len)
{
	c->path.len = len;
	if (c->path.p)
		c->path.p[len] = '\0';
}

static void set_attributes(int fd, const struct copy_meta *m)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)m->s, .tv_nsec = (long)m->ns}};

	/* Where a file system has neither, the bytes are what counts. */
	(void)fchmod(fd, m->mode & 0777);
	(void)futimens(fd, times);
}

/* --- folders ------------------------------------------------------------------------------------------------------ */

static void level_push(struct copyreceive *c, int fd, bool fresh, const struct copy_meta *m, size_t path_len)
{
	c->levels = xrealloc_array(c->levels, c->n_levels + 1, sizeof(*c->levels));
	c->levels[c->n_levels++] = (struct copy_level){.fd = fd, .fresh = fresh, .meta = *m, .path_len = path_len};
}

static int open_folder(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	/* One that is there may be writable only. */
	if (fd < 0 && errno == EACCES)
		fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int make_folder(struct copyreceive *c, int dir, const char *name, const struct copy_event *e)
{
	size_t len = path_push(c, name);
	bool fresh = mkdirat(dir, name, 0700) == 0;
	int fd;

	if (!fresh && errno != EEXIST)
		return failed(c, errno, "cannot make the folder");
	fd = open_folder(dir, name);
	if (fd < 0)
		return failed(c, -fd,
			      fd == -ENOTDIR || fd == -ELOOP ? "something else stands where a folder is to be:"
							     : "cannot open the folder");
	level_push(c, fd, fresh && !e->plain, &e->meta, len);
	if (fresh && e->plain)
		(void)fchmod(fd, 0755);
	return 0;
}

static int leave_folder(struct copyreceive *c)
{
	struct copy_level *l = &c->levels[--c->n_levels];

	if (l->fresh)
		set_attributes(l->fd, &l->meta);
	(void)close(l->fd);
	path_cut(c, l->path_len);
	c->totals.dirs++;
	return 0;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static int begin_file(struct copyreceive *c, int dir, const char *name, const struct copy_event *e)
{
	struct copy_file *f = &c->file;
	uint8_t random[4];

	f->path_len = path_push(c, name);
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return failed(c, EIO, "no random bytes");
	(void)snprintf(f->temp, sizeof(f->temp), ".igloo-cp.%02x%02x%02x%02x", random[0], random[1], random[2],
		       random[3]);
	memcpy(f->name, name, strlen(name) + 1);
	f->fd = openat(dir, f->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->fd < 0)
		return failed(c, errno, "cannot make a file in the folder of");
	f->open = true;
	f->hole = false;
	f->meta = e->meta;
	f->size = e->size;
	return 0;
}

static int file_bytes(struct copyreceive *c, const struct copy_event *e)
{
	int r;

	c->bytes += e->n;
	if (c->bytes > c->max_bytes)
		return failed(c, E2BIG, "more bytes than allowed, at");
	c->file.hole = false;
	r = fd_write_all(c->file.fd, e->bytes, e->n);
	return r < 0 ? failed(c, -r, "cannot write") : 0;
}

static int file_hole(struct copyreceive *c, const struct copy_event *e)
{
	c->file.hole = true;
	return lseek(c->file.fd, (off_t)e->size, SEEK_CUR) < 0 ? failed(c, errno, "cannot write") : 0;
}

static int dir_of_file(const struct copyreceive *c)
{
	return c->n_levels > 0 ? c->levels[c->n_levels - 1].fd : c->parent;
}

static int end_file(struct copyreceive *c, const struct copy_event *e)
{
	struct copy_file *f = &c->file;
	int dir = dir_of_file(c);

	if (f->hole && ftruncate(f->fd, (off_t)f->size) < 0)
		return failed(c, errno, "cannot write");
	set_attributes(f->fd, &f->meta);
	/* Some file systems tell of a full disk now. */
	f->open = false;
	if (close(f->fd) < 0 || renameat(dir, f->temp, dir, f->name) < 0) {
		int errnum = errno;

		(void)unlinkat(dir, f->temp, 0);
		return failed(c, errnum, "cannot write");
	}
	if (e->changed)
		c->ops->changed(c->user, str_text(&c->path));
	path_cut(c, f->path_len);
	c->totals.files++;
	c->totals.bytes += f->size;
	return 0;
}

/* --- links -------------------------------------------------------------------------------------------------------- */

/* How many folders of the tree the entry that comes lies in. */
static size_t depth_in_tree(const struct copyreceive *c)
{
	return c->tree_at < c->n_levels ? c->n_levels - c->tree_at : 0;
}

bool copy_leads_inside(const char *target, size_t folders)
{
	const char *p = target;
	size_t up = 0;

	if (folders == 0 || *p == '/')
		return false;
	for (size_t n; *p; p += n) {
		p += strspn(p, "/");
		n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			up++;
		else if (n > 0 && !(n == 1 && p[0] == '.'))
			break;
	}
	/* Behind a name, ".." may be that of a folder elsewhere. */
	for (; *p; p += strcspn(p, "/")) {
		p += strspn(p, "/");
		if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == '\0'))
			return false;
	}
	return up < folders;
}

static int make_link(struct copyreceive *c, int dir, const char *name, const struct copy_event *e)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
					  {.tv_sec = (time_t)e->meta.s, .tv_nsec = (long)e->meta.ns}};
	size_t len = path_push(c, name);
	char temp[32];
	uint8_t random[4];

	if (c->links == COPY_LINKS_NONE ||
	    (c->links == COPY_LINKS_INSIDE && !copy_leads_inside(e->text, depth_in_tree(c)))) {
		c->ops->refused_link(c->user, str_text(&c->path), e->text);
		path_cut(c, len);
		return 0;
	}
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return failed(c, EIO, "no random bytes");
	(void)snprintf(temp, sizeof(temp), ".igloo-cp.%02x%02x%02x%02x", random[0], random[1], random[2], random[3]);
	if (symlinkat(e->text, dir, temp) < 0)
		return failed(c, errno, "cannot make the link");
	(void)utimensat(dir, temp, times, AT_SYMLINK_NOFOLLOW);
	if (renameat(dir, temp, dir, name) < 0) {
		int errnum = errno;

		(void)unlinkat(dir, temp, 0);
		return failed(c, errnum, "cannot make the link");
	}
	path_cut(c, len);
	c->totals.links++;
	return 0;
}

/* --- the tree ----------------------------------------------------------------------------------------------------- */

static bool is_refused(struct copyreceive *c, const char *name, bool folder)
{
	size_t len = path_push(c, name);
	bool refused = c->ops->refuse && c->ops->refuse(c->user, str_text(&c->path), folder) != 0;

	path_cut(c, len);
	return refused;
}

static int entry(struct copyreceive *c, int dir, const char *name, const struct copy_event *e)
{
	if (++c->entries > c->max_entries)
		return failed(c, E2BIG, "more entries than allowed, at");
	if (c->refused_depth > 0 || is_refused(c, name, e->type == COPY_DIR)) {
		c->refused_depth += e->type == COPY_DIR;
		c->refused_file = e->type == COPY_FILE;
		return 0;
	}
	switch (e->type) {
	case COPY_DIR:
		return make_folder(c, dir, name, e);
	case COPY_FILE:
		return begin_file(c, dir, name, e);
	default:
		return make_link(c, dir, name, e);
	}
}

/* Whether the destination is a folder: 1 with its descriptor, 0 when nothing is there, -ENOTDIR for something else. */
static int look_at_destination(struct copyreceive *c, int *ret)
{
	struct stat st;
	int fd;

	if (!c->name) {
		*ret = fcntl(c->parent, F_DUPFD_CLOEXEC, 3);
		return *ret < 0 ? failed(c, errno, "cannot open the destination") : 1;
	}
	if (fstatat(c->parent, c->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed(c, errno, "cannot look at the destination");
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	fd = open_folder(c->parent, c->name);
	if (fd < 0)
		return failed(c, -fd, "cannot open the destination");
	*ret = fd;
	return 1;
}

/* As `docker cp` does it: into a folder that is there, under the source's own name, unless what is in the source is
 * meant; else under the name of the destination. */
static int begin_tree(struct copyreceive *c, const struct copy_event *e)
{
	const struct copy_meta none = {0};
	bool content = !*e->name;
	int fd = -1;
	int there = look_at_destination(c, &fd);

	if (there < 0 && there != -ENOTDIR)
		return there;
	if (content && e->type != COPY_DIR)
		return failed(c, EPROTO, "");
	c->tree_at = SIZE_MAX;
	if (there > 0) {
		level_push(c, fd, false, &none, path_push(c, c->name ? c->name : ""));
		c->tree_at = content ? 0 : 1;
		return content ? 0 : entry(c, fd, e->name, e);
	}
	path_push(c, c->name);
	if (there == 0 && c->must_be_folder && e->type != COPY_DIR)
		return failed(c, ENOENT, "cannot copy into");
	if (there == -ENOTDIR && (e->type == COPY_DIR || c->must_be_folder))
		return failed(c, ENOTDIR, "cannot copy a folder, or into one, at");
	path_cut(c, 0);
	if (e->type == COPY_DIR)
		c->tree_at = 0;
	return entry(c, c->parent, c->name, e);
}

static int up(struct copyreceive *c)
{
	if (c->refused_depth > 0) {
		c->refused_depth--;
		return 0;
	}
	return leave_folder(c);
}

int copyreceive_event(struct copyreceive *c, const struct copy_event *e)
{
	bool refused = c->refused_file;

	switch (e->type) {
	case COPY_DIR:
	case COPY_FILE:
	case COPY_LINK:
		if (c->begun)
			return entry(c, dir_of_file(c), e->name, e);
		c->begun = true;
		return begin_tree(c, e);
	case COPY_DATA:
		return refused ? 0 : file_bytes(c, e);
	case COPY_HOLE:
		return refused ? 0 : file_hole(c, e);
	case COPY_FILE_END:
		c->refused_file = false;
		return refused ? 0 : end_file(c, e);
	case COPY_UP:
		return up(c);
	case COPY_SKIP:
		c->ops->skip(c->user, e->errnum, e->why, e->text);
		return 0;
	case COPY_TOTAL:
		c->ended = true;
		return 0;
	case COPY_FAIL:
		return failed(c, EREMOTEIO, e->text);
	}
	return failed(c, EPROTO, "");
}

void copyreceive_release(struct copyreceive *c)
{
	if (c->file.open) {
		(void)close(c->file.fd);
		(void)unlinkat(dir_of_file(c), c->file.temp, 0);
	}
	c->file.open = false;
	while (c->n_levels > 0)
		(void)close(c->levels[--c->n_levels].fd);
	free(c->levels);
	c->levels = NULL;
	str_release(&c->path);
	str_release(&c->words);
}
