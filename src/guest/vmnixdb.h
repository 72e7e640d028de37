/* Nix's database in a machine.
 *
 * The slot's database says what of the box's view is valid, and the machine has a copy of its own, on its layer, to
 * which what is built in the machine is added. What it calls valid is in the view or on the layer, with all it refers
 * to: it is made anew from the slot's whenever that has changed since (`stamp`), with those entries of the old one that
 * still hold. Killed at any moment, the next start completes it. */
#ifndef IGLOO_GUEST_VMNIXDB_H
#define IGLOO_GUEST_VMNIXDB_H

struct vmnixdb {
	const char *layer; /* its file system: "var/nix/db", "stamp", "kept", "view.db" of it are this module's */
	const char *view;  /* the slot's folder with the database, seen through the root */
	const char *root;  /* to run Nix in */
	/* The folder with nix-store in it, in the root. NULL, or one that this machine cannot execute: what was built
	 * here is forgotten. */
	const char *nix;
	/* In: what of the layer may be kept. May be NULL. */
	const char *upper;
};

/* Before the root's /nix/var is covered: copies the slot's database if it is another one. Returns 1 if
 * vmnixdb_finish() is to be called once the root is complete, 0 if not, or -errno. */
int vmnixdb_begin(const struct vmnixdb *db);
/* Runs Nix, as the box's user. Returns 0 or -errno; what failed is in the kernel's log. */
int vmnixdb_finish(const struct vmnixdb *db);

#endif
