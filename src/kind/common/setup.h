/* From a fork of the supervisor to a sealed box with the guest as its first process. */
#ifndef IGLOO_KIND_COMMON_SETUP_H
#define IGLOO_KIND_COMMON_SETUP_H

#include "box/kind.h"
#include "kind/common/gateway.h"
#include "kind/common/view.h"

/* What stands between a box's namespaces and its commands, in kinds where the guest does not run them right there: the
 * first process is the guest's program with other arguments, and its root is not the box's: that is the folder
 * MONITOR_BOX of a root which the kind fills as it needs. There the box has no /proc and no /dev. */
struct monitor {
	char *const *argv; /* of the guest's program; argv[1] is to be the number of the connection, "3" */
	bool tap;  /* the box's network, if it has one, is to be a tap: descriptor MONITOR_TAP_FD of the guest */
	void *arg; /* for the functions; both return 0 or -errno */
	/* In a copy of the host's mounts: clones (mnt_clone()) what fill will attach. */
	int (*sources)(void *arg, struct err **e);
	/* In the box's namespaces; `root` is the empty root with MONITOR_BOX in it. Its /proc is made. */
	int (*fill)(void *arg, int root, struct err **e);
	/* Descriptors that the program inherits as MONITOR_FDS, MONITOR_FDS + 1, …; -1: that number is of none. */
	const int *fds;
	size_t n_fds; /* at most MONITOR_FDS_MAX */
	/* The commands have something over the slot's store, Nix's database and HOME: these are read-only here. */
	bool layered;
};
#define MONITOR_BOX "box"
enum { MONITOR_TAP_FD = 4, MONITOR_FDS = 7, MONITOR_FDS_MAX = 8 };

struct setup {
	const struct kind_box *box;
	const struct monitor *monitor; /* NULL: none */
	const struct view *view;       /* NULL: make everything in the box's own namespaces */
	const struct hostpaths *set;   /* used without a view */
	struct gateway *gateway;       /* NULL: the box's network is not BOX_NET_GATE */
	int guest;                     /* sealed memfd of the guest's program */
	int link;                      /* the guest's end of the connection */
	int report;                    /* where failures go; closes when the guest runs */
	int agent;                     /* where the socket of the box's SSH agent goes; -1: it has none */
	int go;                        /* without a view: a byte comes when the user namespace's maps are written */
};

/* Namespaces a box gets anew, as flags for ns_fork(). */
uint64_t setup_namespaces(void);

/* With a view: runs in a fork; joins the view, starts the box's first process as a child of the supervisor,
 * tells its pid over `report`, makes the gateway namespace if there is to be one, and ends. */
void setup_through_view(const struct setup *s) ATTR_NORETURN;

/* The first process of a box, in its new namespaces: builds the root, drops everything, runs the guest. */
void setup_box(const struct setup *s, const int *sources) ATTR_NORETURN;

/* The last step of it: executes the guest. Of s only guest, link, report, monitor and gateway count. */
void setup_become_guest(const struct setup *s) ATTR_NORETURN;

/* To be called in a mount namespace of the caller's own: makes all its mounts private. Descriptors of the shares'
 * sources in this namespace, as mnt_clone() gives them; fd[i] belongs to spec->shares[i]. */
int setup_sources(const struct box_spec *spec, int **ret, struct err **e);

/* Mounts a pinned path onto itself; `root` is the box's root. */
int setup_pin(int root, const struct box_pin *pin, struct err **e);

#endif
