/* Memory and file descriptors that clean up after themselves.
 *
 * Allocation never fails: it aborts when memory is out. So every size that comes from outside is
 * bounded by the caller before it gets here.
 *
 * A cleanup variable is always initialised (NULL or -1); take_ptr() and take_fd() give its value
 * away and leave it empty. */
#ifndef IGLOO_BASE_MEM_H
#define IGLOO_BASE_MEM_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define ATTR_CLEANUP(f) __attribute__((cleanup(f)))
#define ATTR_PRINTF(a, b) __attribute__((format(printf, a, b)))
#define ATTR_NORETURN __attribute__((noreturn))
#define ATTR_UNUSED __attribute__((unused))
#define ATTR_RETURNS_NONNULL __attribute__((returns_nonnull, warn_unused_result))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Each returns fresh memory the caller frees. xrealloc_array checks the product for overflow. */
void *xmalloc(size_t size) ATTR_RETURNS_NONNULL;
void *xcalloc(size_t count, size_t size) ATTR_RETURNS_NONNULL;
void *xrealloc_array(void *p, size_t count, size_t size) ATTR_RETURNS_NONNULL;
char *xstrdup(const char *s) ATTR_RETURNS_NONNULL;
char *xstrndup(const char *s, size_t n) ATTR_RETURNS_NONNULL;
char *xasprintf(const char *fmt, ...) ATTR_PRINTF(1, 2) ATTR_RETURNS_NONNULL;

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

/* Closes *fd when it is >= 0; errno is kept. */
void cleanup_closep(int *fd);
/* Like close(), keeps errno, accepts -1, and returns -1: `x->fd = close_fd(x->fd)`; of a cleanup variable:
 * `(void)close_fd(take_fd(&fd))`. */
int close_fd(int fd);

#define _cleanup_free_ ATTR_CLEANUP(cleanup_freep)
#define _cleanup_close_ ATTR_CLEANUP(cleanup_closep)

#define take_ptr(p)                     \
	({                              \
		__typeof__(p) t_ = (p); \
		(p) = NULL;             \
		t_;                     \
	})

static inline int take_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

#endif
