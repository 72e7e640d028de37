/* Environment records: what a start needs to know of an environment, so that it needs no Nix (decision 4 of the
 * design). docs/environment-record.md describes the file, the key and when a record is stale.
 *
 * A record is read with one read() and used where it lies: the texts of struct env_record point into the file's
 * bytes, and the vectors into one more block. The checksum finds files that a crash or a bad disk damaged; it is no
 * seal, and needs to be none: the file lies where no box can write. */
#ifndef IGLOO_NIX_RECORD_H
#define IGLOO_NIX_RECORD_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { RECORD_KEY_BYTES = 32, RECORD_VERSION = 2, RECORD_MAX_BYTES = 64 << 20, RECORD_REQUESTS_MAX = 64 << 10 };

struct record_path {
	const char *path; /* /nix/store/… */
	bool host;        /* the host's, to be mounted; else the slot's own */
};

/* No text is NULL in a record that was read: what was NULL is "". */
struct env_record {
	uint8_t key[RECORD_KEY_BYTES];
	uint64_t created;             /* seconds since 1970 */
	bool has_hook;                /* a command must be started through bash */
	const char *shell;            /* name of the dev shell, "default" */
	const char *platform;         /* "x86_64-linux" */
	const char *nix_version;      /* of the Nix that evaluated, "2.8.0" */
	const char *flake_dir;        /* folder of the flake.nix, in the box */
	const char *env_path;         /* the -env store path; it must exist or the record is stale */
	const char *bash;             /* struct devenv's */
	const char *bash_interactive; /* of bashInteractive, if known */
	const char *script;           /* devscript_add()'s text */
	const char *attrs_json;       /* structured attributes' files; "" when there are none */
	const char *attrs_sh;
	const char *requests; /* what the flake asks for, JSON as it came; "" when it asks for nothing */
	char **env;           /* n_env "NAME=value" and a NULL, as execve() takes it */
	size_t n_env;
	char **functions; /* n_functions names, sorted bytewise, and a NULL */
	size_t n_functions;
	struct record_path *closure; /* sorted bytewise by path, no two equal */
	size_t n_closure;
	void *file_; /* the file's bytes and the vectors, when record_read() made it */
	void *vectors_;
};

/* Writes the record as dirfd/name, atomically and synced. Vectors and texts are the caller's and stay so; NULL texts
 * are "". Lists that are not sorted and entries that record_read() would refuse are -EINVAL. */
int record_write(int dirfd, const char *name, const struct env_record *rec, struct err **e);

/* Reads dirfd/name. Returns 0 with *ret set (record_release() it), -ENOENT, -EBADMSG when the file is damaged or of
 * another version (evaluate again and write it anew), or another -errno from the file system. */
int record_read(int dirfd, const char *name, struct env_record *ret, struct err **e);
/* Frees what record_read() made; the texts and vectors are gone with it. */
void record_release(struct env_record *rec);
static inline void record_releasep(struct env_record *rec)
{
	record_release(rec);
}
#define _cleanup_record_ ATTR_CLEANUP(record_releasep)

/* The two halves: the file's bytes, and a record from bytes (malloc'ed, now owned by *ret if 0 is returned). */
int record_encode(const struct env_record *rec, struct str *to, struct err **e);
int record_decode(char *bytes, size_t n, struct env_record *ret, struct err **e);

bool record_has_function(const struct env_record *rec, const char *name);

/* The record as a JSON object with "schema": "igloo.env/1" (docs/environment-record.md); a byte that is no UTF-8
 * becomes U+FFFD. */
void record_add_json(struct str *to, const struct env_record *rec);

/* XXH64 with seed 0. Source: "xxHash fast digest algorithm", doc/xxhash_spec.md of Cyan4973/xxHash. */
uint64_t record_checksum(const void *bytes, size_t n);

#endif
