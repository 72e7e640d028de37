#include "net/resolver.h"

#include "base/str.h"
#include "net/hostname.h"
#include "sys/library.h"

#include <ares.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

enum {
	TABLE_SIZE = 1024,
	CACHE_MAX = 1024,  /* finished look-ups that are kept */
	TIMEOUT_MS = 2000, /* of one try at one server; c-ares doubles it */
	TRIES = 3,
	TTL_MIN_S = 5,
	TTL_MAX_S = 300,
};

struct waiter {
	void (*done)(void *arg, int result, const struct address *addresses, size_t n);
	void *arg;
	struct waiter *next;    /* of the look-up */
	struct waiter **here;   /* what points to this one, in the look-up */
	struct waiter *by_next; /* in the table by arg */
	struct waiter **by_here;
};

struct lookup {
	struct resolver *r;
	struct lookup *next;      /* in the table by name */
	struct lookup *next_kept; /* finished ones, oldest first */
	struct waiter *waiters;
	struct address *addresses;
	size_t n;
	int64_t expires; /* monotonic seconds */
	int result;
	bool pending;
	char name[HOSTNAME_MAX + 1];
};

struct resolver {
	ares_channel channel;
	int epoll_fd;
	struct lookup *by_name[TABLE_SIZE];
	struct waiter *by_arg[TABLE_SIZE];
	struct lookup *kept;
	struct lookup **kept_end;
	size_t n_kept;
	size_t n_pending;
	bool replacing; /* a channel that goes gives back what is pending, to be asked again */
};

static struct {
	__typeof__(ares_library_init) *library_init;
	__typeof__(ares_init_options) *init_options;
	__typeof__(ares_destroy) *destroy;
	__typeof__(ares_getaddrinfo) *getaddrinfo;
	__typeof__(ares_freeaddrinfo) *freeaddrinfo;
	__typeof__(ares_process_fd) *process_fd;
	__typeof__(ares_timeout) *timeout;
	__typeof__(ares_set_servers_csv) *set_servers_csv;
	__typeof__(ares_strerror) *strerror;
} cares;

static int load(struct err **e)
{
	static const struct library libcares = {
		.what = "names",
		.names = {"libcares.so.2"},
		.hint = "install c-ares 1.16 or later (Debian: libc-ares2)",
	};
	static const struct library_function functions[] = {
		{"ares_library_init", &cares.library_init}, {"ares_init_options", &cares.init_options},
		{"ares_destroy", &cares.destroy},           {"ares_getaddrinfo", &cares.getaddrinfo},
		{"ares_freeaddrinfo", &cares.freeaddrinfo}, {"ares_process_fd", &cares.process_fd},
		{"ares_timeout", &cares.timeout},           {"ares_set_servers_csv", &cares.set_servers_csv},
		{"ares_strerror", &cares.strerror},
	};

	return cares.init_options ? 0 : library_load(&libcares, functions, ARRAY_SIZE(functions), e);
}

static int64_t now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec;
}

/* FNV-1a. The names are the policy's or below one of its wildcards, and few: see CACHE_MAX. */
static unsigned name_slot(const char *name)
{
	uint32_t h = 2166136261U;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619U;
	return h % TABLE_SIZE;
}

static unsigned arg_slot(const void *arg)
{
	return (unsigned)(((uintptr_t)arg >> 4) * 2654435761U >> 7) % TABLE_SIZE;
}

static void on_socket(void *data, ares_socket_t fd, int readable, int writable)
{
	const struct resolver *r = data;
	struct epoll_event ev = {.events = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U),
				 .data.u64 = (uint64_t)(uint32_t)fd << 32 | RESOLVER_TAG};

	if (!readable && !writable)
		(void)epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 && errno == EEXIST)
		(void)epoll_ctl(r->epoll_fd, EPOLL_CTL_MOD, fd, &ev);
}

static int new_channel(struct resolver *r, ares_channel *ret)
{
	/* NOSEARCH: a name of the policy is never completed with the host's own domains. */
	struct ares_options options = {
		.flags = ARES_FLAG_NOSEARCH, .timeout = TIMEOUT_MS, .tries = TRIES, .sock_state_cb = on_socket};
	char lookups[] = "fb"; /* the hosts file, then DNS */

	options.lookups = lookups;
	options.sock_state_cb_data = r;
	return cares.init_options(ret, &options,
				  ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
					  ARES_OPT_SOCK_STATE_CB);
}

int resolver_new(int epoll_fd, struct resolver **ret, struct err **e)
{
	_cleanup_free_ struct resolver *r = NULL;
	int status;
	int rc = load(e);

	if (rc < 0)
		return rc;
	status = cares.library_init(ARES_LIB_INIT_ALL);
	if (status != ARES_SUCCESS)
		return err_set(e, EIO, "names: c-ares does not start: %s", cares.strerror(status));
	r = xcalloc(1, sizeof(*r));
	r->epoll_fd = epoll_fd;
	r->kept_end = &r->kept;
	status = new_channel(r, &r->channel);
	if (status != ARES_SUCCESS)
		return err_set(e, EIO, "names: c-ares cannot use the host's DNS configuration: %s",
			       cares.strerror(status));
	*ret = take_ptr(r);
	return 0;
}

static void remove_waiter(struct waiter *w)
{
	*w->here = w->next;
	if (w->next)
		w->next->here = w->here;
	*w->by_here = w->by_next;
	if (w->by_next)
		w->by_next->by_here = w->by_here;
}

static void add_waiter(struct resolver *r, struct lookup *l, struct waiter *w)
{
	struct waiter **by = &r->by_arg[arg_slot(w->arg)];

	w->next = l->waiters;
	w->here = &l->waiters;
	if (w->next)
		w->next->here = &w->next;
	l->waiters = w;
	w->by_next = *by;
	w->by_here = by;
	if (w->by_next)
		w->by_next->by_here = &w->by_next;
	*by = w;
}

static void free_lookup(struct resolver *r, struct lookup *l)
{
	struct lookup **p = &r->by_name[name_slot(l->name)];

	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	free(l->addresses);
	free(l);
}

/* Of the finished look-ups only: they have no waiters. */
static void drop_oldest(struct resolver *r)
{
	struct lookup *l = r->kept;

	r->kept = l->next_kept;
	if (!r->kept)
		r->kept_end = &r->kept;
	r->n_kept--;
	free_lookup(r, l);
}

/* A finished look-up that is asked again leaves the list. */
static void unkeep(struct resolver *r, struct lookup *l)
{
	struct lookup **p = &r->kept;

	while (*p != l)
		p = &(*p)->next_kept;
	*p = l->next_kept;
	if (r->kept_end == &l->next_kept)
		r->kept_end = p;
	r->n_kept--;
}

static int result_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return 0;
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
		return -ENOENT;
	case ARES_ETIMEOUT:
		return -ETIMEDOUT;
	case ARES_EDESTRUCTION:
	case ARES_ECANCELLED:
		return -ECANCELED;
	default:
		return -EIO;
	}
}

static void keep_addresses(struct lookup *l, const struct ares_addrinfo *res)
{
	struct address found[RESOLVER_ADDRESSES_MAX];
	int ttl = TTL_MAX_S;

	l->n = 0;
	for (const struct ares_addrinfo_node *node = res->nodes; node && l->n < RESOLVER_ADDRESSES_MAX;
	     node = node->ai_next) {
		struct sockaddr_storage ss;

		if ((node->ai_family != AF_INET && node->ai_family != AF_INET6) || !node->ai_addr ||
		    node->ai_addrlen > sizeof(ss))
			continue;
		memset(&ss, 0, sizeof(ss));
		memcpy(&ss, node->ai_addr, node->ai_addrlen);
		address_from_sockaddr(&ss, &found[l->n++]);
		if (node->ai_ttl < ttl)
			ttl = node->ai_ttl;
	}
	free(l->addresses);
	l->addresses = xcalloc(l->n + 1, sizeof(*l->addresses));
	memcpy(l->addresses, found, l->n * sizeof(*found));
	l->expires = now_s() + (ttl < TTL_MIN_S ? TTL_MIN_S : ttl);
	if (l->n == 0)
		l->result = -ENOENT;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *res);

static void ask(struct resolver *r, struct lookup *l)
{
	const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

	cares.getaddrinfo(r->channel, l->name, NULL, &hints, on_answer, l);
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *res)
{
	struct lookup *l = arg;
	struct resolver *r = l->r;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION && r->replacing) {
		ask(r, l);
		return;
	}
	l->result = result_of(status);
	l->n = 0;
	/* Failures are kept as briefly as possible: long enough that a client which tries again in a loop costs
	 * nothing. */
	l->expires = now_s() + (l->result == -ENOENT ? TTL_MIN_S : 0);
	if (res) {
		if (l->result == 0)
			keep_addresses(l, res);
		cares.freeaddrinfo(res);
	}
	/* Still pending while these run, so that nothing they call frees it. */
	while (l->waiters) {
		struct waiter *w = l->waiters;
		struct waiter copy = *w;

		remove_waiter(w);
		free(w);
		copy.done(copy.arg, l->result, l->addresses, l->n);
	}
	l->pending = false;
	r->n_pending--;
	l->next_kept = NULL;
	*r->kept_end = l;
	r->kept_end = &l->next_kept;
	if (++r->n_kept > CACHE_MAX)
		drop_oldest(r);
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	cares.destroy(r->channel); /* on_answer() of all that is pending */
	while (r->kept)
		drop_oldest(r);
	free(r);
}

static struct lookup *find_lookup(const struct resolver *r, const char *name)
{
	struct lookup *l = r->by_name[name_slot(name)];

	while (l && strcmp(l->name, name) != 0)
		l = l->next;
	return l;
}

int resolver_start(struct resolver *r, const char *name,
		   void (*done)(void *arg, int result, const struct address *addresses, size_t n), void *arg)
{
	struct lookup *l = find_lookup(r, name);
	struct waiter *w;
	bool fresh = !l || (!l->pending && l->expires <= now_s());

	if (l && !l->pending && !fresh) {
		struct address copy[RESOLVER_ADDRESSES_MAX];
		size_t n = l->n;

		memcpy(copy, l->addresses ? l->addresses : copy, n * sizeof(*copy));
		done(arg, l->result, copy, n);
		return 0;
	}
	if (fresh && r->n_pending >= RESOLVER_PENDING_MAX)
		return -EBUSY;
	if (!l) {
		unsigned slot = name_slot(name);

		l = xcalloc(1, sizeof(*l));
		l->r = r;
		(void)snprintf(l->name, sizeof(l->name), "%s", name);
		l->next = r->by_name[slot];
		r->by_name[slot] = l;
	} else if (fresh) {
		unkeep(r, l);
	}
	w = xcalloc(1, sizeof(*w));
	*w = (struct waiter){.done = done, .arg = arg};
	add_waiter(r, l, w);
	if (fresh) {
		l->pending = true;
		r->n_pending++;
		ask(r, l);
	}
	return 0;
}

/* c-ares refuses a list with one that it cannot read. */
static bool readable_servers(const char *servers, size_t n, struct str *to)
{
	_cleanup_str_ struct str all = STR_INIT;
	_cleanup_strv_ struct strv each = STRV_INIT;

	str_add(&all, servers, n);
	strv_split(&each, str_text(&all), ',');
	for (size_t i = 0; i < each.n; i++) {
		struct address a;
		char text[ADDRESS_TEXT_MAX];

		if (!address_parse(each.v[i], strlen(each.v[i]), &a))
			continue;
		address_format(&a, text);
		str_addf(to, "%s%s", to->len > 0 ? "," : "", text);
	}
	return to->len > 0;
}

/* A channel takes no other servers while questions are pending: it is replaced. */
void resolver_use(struct resolver *r, const char *servers, size_t n)
{
	_cleanup_str_ struct str list = STR_INIT;
	ares_channel old = r->channel;
	ares_channel fresh;

	if (!readable_servers(servers, n, &list) || new_channel(r, &fresh) != ARES_SUCCESS)
		return;
	if (cares.set_servers_csv(fresh, str_text(&list)) != ARES_SUCCESS) {
		cares.destroy(fresh);
		return;
	}
	r->channel = fresh;
	r->replacing = true;
	cares.destroy(old);
	r->replacing = false;
	while (r->kept)
		drop_oldest(r);
}

void resolver_cancel(struct resolver *r, void *arg)
{
	struct waiter *w = r->by_arg[arg_slot(arg)];

	while (w) {
		struct waiter *next = w->by_next;

		if (w->arg == arg) {
			remove_waiter(w);
			free(w);
		}
		w = next;
	}
}

void resolver_event(struct resolver *r, int fd, unsigned events)
{
	bool in = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
	bool out = (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;

	cares.process_fd(r->channel, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
}

int resolver_wait_ms(struct resolver *r)
{
	struct timeval t;

	if (r->n_pending == 0 || !cares.timeout(r->channel, NULL, &t))
		return -1;
	return (int)(t.tv_sec * 1000 + (t.tv_usec + 999) / 1000);
}

void resolver_timeout(struct resolver *r)
{
	cares.process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}
