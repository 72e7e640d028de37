/* What cgroup.c shares with cgroupv1.c and cgroupv2.c; and for tests, which give the texts of
 * /proc/self/cgroup and /proc/self/mountinfo themselves. */
#ifndef IGLOO_SYS_CGROUP_IMPL_H
#define IGLOO_SYS_CGROUP_IMPL_H

#include "sys/cgroup.h"

#include <stdbool.h>

#define CGROUP_PARENT "igloo"
#define CGROUP_PREFIX "box-"
#define CGROUP_LEAF "igloo-supervisor"

enum cgroup_controller { CG_CPU, CG_MEMORY, CG_PIDS, CG_FREEZER, CG_COUNT };
extern const char *const cgroup_controller_names[CG_COUNT];

/* One mounted hierarchy. */
struct cgroup_mount {
	char *dir; /* the mount point; NULL: not mounted */
	char *own; /* this process's cgroup below dir, "" for dir itself; NULL: not visible here */
};

struct cgroup_host {
	struct cgroup_mount v2;
	struct cgroup_mount v1[CG_COUNT];
	/* Added to each open of a control file: 0, or O_CREAT in the tests that stand in for the kernel
	 * with plain files. Those skip the check that the mount point is a cgroup file system too. */
	int fake;
};

/* A folder made for a box in one hierarchy. */
struct cgroup_dir {
	int parent;
	int dir;
};

struct cgroup {
	const struct cgroup_ops *ops;
	char *folder;
	int fake;
	struct cgroup_dir dirs[CG_COUNT];
	size_t n;
	int at[CG_COUNT]; /* which of dirs serves a controller; -1: none */
};

/* The two versions. check() changes nothing; create() fills a cgroup whose folder name, ops and fake are
 * set and leaves nothing behind on failure; the rest as in cgroup.h. */
struct cgroup_ops {
	int (*check)(const struct cgroup_host *host, const struct cgroup_limits *limits, struct err **e);
	int (*create)(const struct cgroup_host *host, const struct cgroup_limits *limits, struct cgroup *cg,
		      struct err **e);
	int (*add)(struct cgroup *cg, pid_t pid, struct err **e);
	int (*events)(struct cgroup *cg, struct cgroup_event_counts *ret, struct err **e);
	int (*kill)(struct cgroup *cg, struct err **e);
	int (*remove)(struct cgroup *cg, struct err **e);
	int (*sweep)(const struct cgroup_host *host, struct err **e);
};
extern const struct cgroup_ops cgroup_v1;
extern const struct cgroup_ops cgroup_v2;

/* From the texts of /proc/PID/cgroup (cgroups(7)) and /proc/PID/mountinfo (proc(5)). */
void cgroup_host_parse(const char *cgroup, const char *mountinfo, struct cgroup_host *ret);
int cgroup_host_read(struct cgroup_host *ret, struct err **e);
void cgroup_host_release(struct cgroup_host *host);
#define _cleanup_cgroup_host_ ATTR_CLEANUP(cgroup_host_release)

/* As the public ones, on a given host. */
int cgroup_check_on(const struct cgroup_host *host, const struct cgroup_limits *limits, struct err **e);
int cgroup_create_on(const struct cgroup_host *host, const struct cgroup_ops *ops, const char *name,
		     const struct cgroup_limits *limits, struct cgroup **ret, struct err **e);
int cgroup_systemd_argv_on(const struct cgroup_host *host, const struct cgroup_limits *limits, struct strv *argv,
			   struct err **e);
/* The version that serves these limits here, or NULL with the reason. */
const struct cgroup_ops *cgroup_choose(const struct cgroup_host *host, const struct cgroup_limits *limits,
				       struct err **e);

bool cgroup_wants(const struct cgroup_limits *limits, enum cgroup_controller c);
/* Microseconds of which the processes get cpu_milli thousandths: the usual 100 ms, or 1 s where that would
 * be a quota below the kernel's least, 1 ms (sched-bwc.rst). */
uint64_t cgroup_cpu_period(const struct cgroup_limits *limits);
/* Opens the folder `path` below the mount point, through no link. Descriptor or -errno. */
int cgroup_open(const struct cgroup_host *host, const struct cgroup_mount *m, const char *path);
/* The path of that folder for messages, printable. The caller frees. */
char *cgroup_path(const struct cgroup_mount *m, const char *below);
/* May this process make folders in it and move processes into those? */
bool cgroup_writable(int dir, const char *file);

/* Control files: whole, by one write. 0 or -errno. */
int cgroup_put(int dir, const char *file, const char *value, int fake);
int cgroup_putu(int dir, const char *file, uint64_t value, int fake);
int cgroup_get(int dir, const char *file, struct str *to);
/* The number behind "key " in a file of "key number" lines; 0 when there is none. */
int cgroup_get_key(int dir, const char *file, const char *key, uint64_t *ret);
/* Is `word` one of the words in the file? */
bool cgroup_has_word(int dir, const char *file, const char *word);
/* The processes in the folder; the caller frees. A process outside this pid namespace reads as 0. */
int cgroup_pids(int dir, pid_t **ret, size_t *ret_n);

/* 0 when the v2 cgroup (`path`, for the message) was given all controllers that are asked for. */
int cgroup_has_controllers(int dir, const char *path, const struct cgroup_limits *limits, struct err **e);

/* Makes CGROUP_PARENT below base (0700) and opens it. Descriptor or -errno. */
int cgroup_make_parent(int base);
/* Makes and locks `folder` in the parent. Descriptor or -errno, -EEXIST when in use. */
int cgroup_make_box(int parent, const char *folder);
/* Sends SIGKILL to all in the folder and those below it, round after round until none is left or the
 * deadline (CLOCK_MONOTONIC ms) is over. 0, -ETIMEDOUT or -errno. */
int cgroup_kill_rounds(int dir, int64_t deadline);
/* One such round. */
int cgroup_kill_once(int dir);
/* Removes `folder` and those below it. 0 or -errno (-EBUSY: processes in it). */
int cgroup_rmdir(int parent, const char *folder, int fake);
/* Removes each unlocked, empty box folder in the parent. How many. */
int cgroup_sweep_dir(int parent);
int64_t cgroup_now_ms(void);

#endif
