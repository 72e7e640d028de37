#include "box/slotdisk.h"

#include "base/log.h"
#include "base/name.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/spawn.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define DIR "disk"
#define IMAGE "image"
#define IMAGE_NEW ".image.new"
#define FORMAT "format"
#define BOX "box"
#define LABEL "igloo-slot"

enum {
	FORMAT_MAX = 64,
	NAME_BYTES = 256,
	MKFS_MS = 300000,
	LOCK_TRIES = 50,
	LOCK_PAUSE_MS = 4,
	IMAGE_TRIES = 250, /* a killed supervisor's QEMU ends with it, but not at once */
	BLOCK = 512,       /* of st_blocks */
	ROOM_BLOCKS = 256, /* fewer are a full file system */
	EXT4_MAGIC_AT = 1024 + 0x38,
	EXT4_ERRORS_AT = 1024 + 0x194,
};

static void pause_ms(long ms)
{
	const struct timespec t = {.tv_nsec = ms * 1000000};

	(void)nanosleep(&t, NULL);
}

static int open_dir(int slot_dir, bool make, struct err **e)
{
	int fd = make ? file_make_dirs(slot_dir, DIR, 0700, e)
		      : file_open_beneath(slot_dir, DIR, O_RDONLY | O_DIRECTORY, 0);

	return fd;
}

/* --- who has it --------------------------------------------------------------------------------------------------- */

static char *holder(int dir)
{
	_cleanup_str_ struct str text = STR_INIT;

	if (file_read(dir, BOX, NAME_BYTES, &text, NULL) < 0 || name_check(str_text(&text), NULL) < 0)
		return NULL;
	return str_take(&text);
}

static int say_busy(const struct slot *slot, int dir, struct err **e)
{
	_cleanup_free_ char *box = holder(dir);
	pid_t pid = 0;

	if (box) {
		(void)err_set(e, EBUSY, "the disk of slot '%s' is in use by box '%s'", slot->id, box);
		(void)err_hint(e, "a machine has its slot's disk alone; igloo stop %s frees it", box);
	} else {
		(void)file_is_locked(dir, "lock", &pid);
		(void)err_set(e, EBUSY, "the disk of slot '%s' is in use by process %d", slot->id, (int)pid);
	}
	return err_hint(e, "or: --slot NAME for another slot, --overlay to do without a disk");
}

int slotdisk_claim(struct slot *slot, struct err **e)
{
	_cleanup_close_ int dir = -1;
	int fd = -EWOULDBLOCK;

	if (slot->disk >= 0)
		return 0;
	dir = open_dir(slot->dir, true, e);
	if (dir < 0)
		return err_wrap(e, "slot '%s'", slot->id);
	/* Who only looks whether it is held holds it for a moment. */
	for (int i = 0; i < LOCK_TRIES && fd == -EWOULDBLOCK; i++) {
		if (i > 0)
			pause_ms(LOCK_PAUSE_MS);
		fd = file_lock(dir, "lock", false, false, e);
	}
	if (fd == -EWOULDBLOCK)
		return say_busy(slot, dir, e);
	if (fd < 0)
		return err_wrap(e, "slot '%s'", slot->id);
	(void)unlinkat(dir, BOX, 0);
	slot->disk = fd;
	return 0;
}

int slotdisk_choose(const char *repository, const char *name, struct slot **ret, struct err **e)
{
	_cleanup_slot_ struct slot *slot = NULL;
	int r = 0;

	for (int i = 1; i <= SLOTDISK_SLOTS; i++) {
		_cleanup_free_ char *number = xasprintf("%d", i);

		r = slot_open(repository, name ? name : i > 1 ? number : NULL, &slot, e);
		if (r == 0)
			r = slotdisk_claim(slot, e);
		if (r == 0 && i > 1)
			log_note("the disks of this repository's other slots are in use: this is slot %d, '%s'", i,
				 slot->id);
		if (r == 0)
			*ret = take_ptr(slot);
		if (r != -EBUSY || name)
			return r;
		err_clear(e);
		slot_free(take_ptr(slot));
	}
	(void)err_set(e, EBUSY, "All %d slots are busy", SLOTDISK_SLOTS);
	return err_hint(e, "igloo ls shows the boxes that use them; or: --overlay, which needs no disk of a slot");
}

/* --- the image ---------------------------------------------------------------------------------------------------- */

int slotdisk_parse_format(const char *text, uint64_t *ret_bytes)
{
	static const char head[] = "igloo-disk ";
	uint64_t number[2];
	const char *p = text + sizeof(head) - 1;

	if (!str_starts(text, head))
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(number); i++) {
		const char *begin = p;

		number[i] = 0;
		for (; *p >= '0' && *p <= '9' && number[i] <= SLOTDISK_MAX; p++)
			number[i] = number[i] * 10 + (uint64_t)(*p - '0');
		if (p == begin)
			return -EBADMSG;
		/* What comes behind a newer version's number is its own affair. */
		if (i == 0 && number[i] > SLOTDISK_VERSION)
			return -EPROTONOSUPPORT;
		if (*p++ != (i == 0 ? ' ' : '\n'))
			return -EBADMSG;
	}
	if (*p || number[0] != SLOTDISK_VERSION || number[1] < SLOTDISK_MIN || number[1] > SLOTDISK_MAX)
		return -EBADMSG;
	*ret_bytes = number[1];
	return 0;
}

static int write_format(int dir, uint64_t bytes, struct err **e)
{
	_cleanup_free_ char *text = xasprintf("igloo-disk %d %" PRIu64 "\n", SLOTDISK_VERSION, bytes);

	return file_replace(dir, FORMAT, text, strlen(text), 0600, true, e);
}

static int hint_remove(const struct slot *slot, struct err **e)
{
	return err_hint(e, "igloo slot rm --disk %s removes it, with what machines kept on it; --overlay does without",
			slot->id);
}

/* *ret_bytes 0: there is no such file (yet). */
static int read_format(const struct slot *slot, int dir, uint64_t *ret_bytes, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_err_ struct err *why = NULL;
	int r = file_read(dir, FORMAT, FORMAT_MAX, &text, &why);

	*ret_bytes = 0;
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = slotdisk_parse_format(str_text(&text), ret_bytes);
	else if (r == -EFBIG)
		r = -EBADMSG;
	if (r == -EPROTONOSUPPORT)
		(void)err_set(e, EPROTONOSUPPORT, "the disk of slot '%s' was made by a newer igloo", slot->id);
	else if (r == -EBADMSG)
		(void)err_set(e, EBADMSG, "the disk of slot '%s' is damaged: its file '%s' is not igloo's", slot->id,
			      FORMAT);
	else if (r < 0)
		return err_errno(e, -r, "cannot read the format of the disk of slot '%s'", slot->id);
	return r < 0 ? hint_remove(slot, e) : 0;
}

static const char features[] = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,"
			       "sparse_super,large_file,huge_file,dir_nlink,extra_isize,64bit,metadata_csum";

/* All features by name, and none of the host's mke2fs.conf: kernels of machines may be older than its tools. Every
 * table is left unwritten, which in a new sparse file means zeros. */
static int run_mkfs(const char *path, struct err **e)
{
	static const char *const more[] = {"/sbin", "/usr/sbin", "/usr/local/sbin", NULL};
	_cleanup_free_ char *mkfs = spawn_find("mkfs.ext4", more, NULL);
	const char *const words[] = {
		"mkfs.ext4", "-q",         "-F",
		"-t",        "ext4",       "-b",
		"4096",      "-I",         "256",
		"-i",        "16384",      "-m",
		"0",         "-L",         LABEL,
		"-e",        "remount-ro", "-O",
		features,    "-E",         "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"};
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct spawn s = {.file = mkfs, .name = "mkfs.ext4", .max_output = 65536, .time_limit_ms = MKFS_MS};

	if (!mkfs) {
		(void)err_set(e, ENOENT, "no mkfs.ext4 found on this machine: a machine's disk is made with it");
		return err_hint(e, "on Debian or Ubuntu: apt install e2fsprogs; --overlay does without a disk");
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		strv_add(&argv, words[i]);
	strv_add(&argv, path);
	s.argv = argv.v;
	return spawn_check(&s, NULL, e);
}

/* What may be written before the host's disk is full; what the image has already is not needed again. */
static int check_room(const struct slot *slot, int dir, uint64_t bytes, uint64_t has, struct err **e)
{
	_cleanup_str_ struct str want = STR_INIT;
	_cleanup_str_ struct str room = STR_INIT;
	struct statvfs fs;
	uint64_t free_bytes;

	if (fstatvfs(dir, &fs) < 0)
		return err_errno(e, errno, "cannot look at the file system of slot '%s'", slot->id);
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (bytes <= has || bytes - has <= free_bytes)
		return 0;
	size_add(&want, bytes);
	size_add(&room, free_bytes);
	(void)err_set(e, ENOSPC, "--disk: %s are not to be had: the file system of slot '%s' has %s free",
		      str_text(&want), slot->id, str_text(&room));
	return err_hint(e, "the disk grows as it is filled; without --disk it may be larger than what is free");
}

static int make(const struct slot *slot, int dir, uint64_t bytes, struct err **e)
{
	_cleanup_free_ char *path = xasprintf("%s/" DIR "/" IMAGE_NEW, slot->path);
	uint64_t size = (bytes ? bytes : SLOTDISK_DEFAULT) & ~(uint64_t)4095;
	_cleanup_close_ int fd = -1;
	int r = bytes ? check_room(slot, dir, bytes, 0, e) : 0;

	if (r < 0)
		return r;
	(void)unlinkat(dir, IMAGE_NEW, 0);
	fd = openat(dir, IMAGE_NEW, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		r = err_errno(e, errno, "cannot make a file");
	if (r == 0)
		r = run_mkfs(path, e);
	if (r == 0 && fsync(fd) < 0)
		r = err_errno(e, errno, "cannot write it");
	if (r == 0)
		r = write_format(dir, size, e);
	if (r == 0 && renameat(dir, IMAGE_NEW, dir, IMAGE) < 0)
		r = err_errno(e, errno, "cannot name it");
	if (r < 0)
		(void)unlinkat(dir, IMAGE_NEW, 0);
	return r < 0 ? err_wrap(e, "the disk of slot '%s' cannot be made", slot->id) : 0;
}

/* The image of a size that can be, locked. */
static int check(const struct slot *slot, int fd, uint64_t bytes, uint64_t *ret_size, struct err **e)
{
	unsigned char magic[2] = {0};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot look at the disk of slot '%s'", slot->id);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < bytes || pread(fd, magic, 2, EXT4_MAGIC_AT) != 2 ||
	    magic[0] != 0x53 || magic[1] != 0xef) {
		(void)err_set(e, EBADMSG, "the disk of slot '%s' is damaged: %s", slot->id,
			      !S_ISREG(st.st_mode)           ? "it is not a file"
			      : (uint64_t)st.st_size < bytes ? "it was cut short"
							     : "no ext4 file system is on it");
		return hint_remove(slot, e);
	}
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_errno(e, errno, "cannot lock the disk of slot '%s'", slot->id);
		if (i == IMAGE_TRIES)
			return err_set(e, EBUSY, "the disk of slot '%s' is locked by a process that is not its box",
				       slot->id);
		pause_ms(LOCK_PAUSE_MS);
	}
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static uint32_t count_errors(int fd)
{
	unsigned char b[4] = {0};

	if (pread(fd, b, sizeof(b), EXT4_ERRORS_AT) != (ssize_t)sizeof(b))
		return 0;
	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static int grow(const struct slot *slot, int dir, int fd, uint64_t from, uint64_t bytes, struct err **e)
{
	_cleanup_str_ struct str has = STR_INIT;
	struct stat st;
	int r;

	bytes &= ~(uint64_t)4095;
	if (bytes < from) {
		size_add(&has, from);
		log_note("the disk of slot '%s' stays at %s: it can grow, but not shrink", slot->id, str_text(&has));
	}
	if (bytes <= from)
		return 0;
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot look at the disk of slot '%s'", slot->id);
	r = check_room(slot, dir, bytes, (uint64_t)st.st_blocks * BLOCK, e);
	if (r == 0 && ftruncate(fd, (off_t)bytes) < 0)
		r = err_errno(e, errno, "cannot make the disk of slot '%s' larger", slot->id);
	/* The machine makes its file system larger when it starts. */
	return r < 0 ? r : write_format(dir, bytes, e);
}

int slotdisk_open(struct slot *slot, uint64_t bytes, const char *box, struct err **e)
{
	_cleanup_close_ int dir = open_dir(slot->dir, true, e);
	_cleanup_close_ int fd = -1;
	uint64_t recorded = 0;
	uint64_t size = 0;
	int r = dir < 0 ? dir : read_format(slot, dir, &recorded, e);

	if (r < 0)
		return r;
	fd = file_open_beneath(dir, IMAGE, O_RDWR | O_NOFOLLOW, 0);
	if (fd == -ENOENT) {
		if (recorded)
			log_note("the disk of slot '%s' is gone: a new one is made", slot->id);
		r = make(slot, dir, bytes, e);
		if (r < 0)
			return r;
		recorded = 0;
		fd = file_open_beneath(dir, IMAGE, O_RDWR | O_NOFOLLOW, 0);
	}
	if (fd < 0)
		return err_errno(e, -fd, "cannot open the disk of slot '%s'", slot->id);
	r = check(slot, fd, recorded, &size, e);
	if (r == 0 && bytes)
		r = grow(slot, dir, fd, size, bytes, e);
	if (r == 0)
		r = file_replace(dir, BOX, box, strlen(box), 0600, false, e);
	if (r < 0)
		return r;
	slot->disk_errors = count_errors(fd);
	return take_fd(&fd);
}

void slotdisk_settle(const struct slot *slot)
{
	_cleanup_close_ int dir = slot->disk < 0 ? -1 : open_dir(slot->dir, false, NULL);
	_cleanup_close_ int fd = dir < 0 ? -1 : file_open_beneath(dir, IMAGE, O_RDONLY | O_NOFOLLOW, 0);
	struct statvfs fs;
	bool full;

	if (dir < 0)
		return;
	if (fd == -ENOENT)
		log_note("the disk of slot '%s' was removed while the machine ran: what it wrote there is lost",
			 slot->id);
	/* A machine's file system counts what goes wrong with itself, and not with what is in files. */
	full = fstatvfs(dir, &fs) == 0 && fs.f_bavail < ROOM_BLOCKS;
	if (full)
		log_note("this host's file system is full: what the machine could not write to the disk of slot '%s' "
			 "is lost",
			 slot->id);
	else if (fd >= 0 && count_errors(fd) != slot->disk_errors)
		log_note("the machine could not write to the disk of slot '%s': what it had not synced before is lost",
			 slot->id);
}

void slotdisk_sweep(struct slot *slot)
{
	_cleanup_close_ int dir = open_dir(slot->dir, false, NULL);

	if (dir >= 0 && slotdisk_claim(slot, NULL) == 0) {
		(void)unlinkat(dir, IMAGE_NEW, 0);
		file_sweep_temporary(dir, "");
	}
}

int slotdisk_check_room(const struct slot *slot, uint64_t bytes, uint64_t *ret_room, struct err **e)
{
	struct slotdisk_info info = {0};
	struct statvfs fs;
	int r = 0;

	*ret_room = 0;
	slotdisk_look(slot->dir, &info);
	if (bytes > info.bytes && fstatvfs(slot->dir, &fs) == 0) {
		*ret_room = (uint64_t)fs.f_bavail * fs.f_frsize + info.used;
		r = check_room(slot, slot->dir, bytes, info.used, e);
	}
	slotdisk_info_release(&info);
	return r;
}

/* --- from outside ------------------------------------------------------------------------------------------------- */

void slotdisk_look(int slot_dir, struct slotdisk_info *ret)
{
	_cleanup_close_ int dir = open_dir(slot_dir, false, NULL);
	struct stat st;

	*ret = (struct slotdisk_info){0};
	if (dir < 0)
		return;
	if (fstatat(dir, IMAGE, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
		ret->bytes = (uint64_t)st.st_size;
		ret->used = (uint64_t)st.st_blocks * BLOCK;
	}
	ret->held = file_is_locked(dir, "lock", NULL);
	if (ret->held)
		ret->box = holder(dir);
}

void slotdisk_info_release(struct slotdisk_info *i)
{
	free(take_ptr(i->box));
}

int slotdisk_remove(struct slot *slot, struct err **e)
{
	_cleanup_close_ int dir = -1;
	int r = slotdisk_claim(slot, e);

	if (r < 0)
		return r;
	dir = open_dir(slot->dir, false, e);
	if (dir < 0)
		return err_errno(e, -dir, "cannot open the disk of slot '%s'", slot->id);
	/* The format last: cut short, it is a disk that is gone. The lock and its folder stay: who waits for it has
	 * it open. */
	if ((unlinkat(dir, IMAGE, 0) < 0 && errno != ENOENT) || (unlinkat(dir, FORMAT, 0) < 0 && errno != ENOENT))
		return err_errno(e, errno, "cannot remove the disk of slot '%s'", slot->id);
	(void)unlinkat(dir, IMAGE_NEW, 0);
	return 0;
}
