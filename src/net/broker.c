#include "net/broker_impl.h"

#include "net/tlslib.h"
#include "net_broker_program.h" /* made by seccomp/filter_gen.c: broker_program[] */
#include "sys/confined.h"
#include "sys/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Two TLS connections have some 50 KiB of OpenSSL's, in memory that no limit of the box counts: 100 MiB at most. */
enum { SECRETS_MAX = 79, FDS_RESERVED = 32, CONNECTIONS_MAX = 2048, CA_MAX = 64 * 1024 };

struct start {
	const struct broker_config *config;
	struct broker *b;
	int channel;
};

/* --- the secrets -------------------------------------------------------------------------------------------------- */

static int read_value(const struct broker_secret *s, char *to, size_t *ret_n, struct err **e)
{
	struct stat st;
	size_t n;

	if (fstat(s->fd, &st) < 0)
		return err_errno(e, errno, "secret '%s'", s->name);
	n = st.st_size > INJECT_VALUE_MAX ? INJECT_VALUE_MAX + 1 : (size_t)st.st_size;
	if (n <= INJECT_VALUE_MAX && pread(s->fd, to, n, 0) != (ssize_t)n)
		return err_errno(e, EIO, "secret '%s'", s->name);
	if (n > INJECT_VALUE_MAX || !inject_value_is_good(to, n))
		return err_set(e, EINVAL,
			       "secret '%s' can stand in no header: it must have one line of at most %d bytes, and no "
			       "control characters",
			       s->name, INJECT_VALUE_MAX);
	*ret_n = n;
	return 0;
}

static struct bound_host *host_of(struct broker *b, const struct broker_secret *s)
{
	for (size_t i = 0; i < b->n_hosts; i++)
		if (b->hosts[i].port == s->port && strcmp(b->hosts[i].name, s->host) == 0)
			return &b->hosts[i];
	b->hosts[b->n_hosts] = (struct bound_host){.name = s->host, .port = s->port};
	return &b->hosts[b->n_hosts++];
}

/* Into memory that is not swapped, where the limit for it is high enough, and in no core file. */
static int load_secrets(struct broker *b, const struct broker_config *config, struct err **e)
{
	size_t at = 0;

	b->hosts = xcalloc(config->n, sizeof(*b->hosts));
	b->values_size = config->n * INJECT_VALUE_MAX;
	b->values = mmap(NULL, b->values_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->values == MAP_FAILED)
		return err_errno(e, errno, "secrets bound to hosts: no memory");
	(void)madvise(b->values, b->values_size, MADV_DONTDUMP);
	(void)madvise(b->values, b->values_size, MADV_WIPEONFORK);
	for (size_t i = 0; i < config->n; i++) {
		struct bound_host *h = host_of(b, &config->secrets[i]);
		struct inject_pair pair = {.placeholder = config->secrets[i].placeholder, .value = b->values + at};
		int r = read_value(&config->secrets[i], b->values + at, &pair.n, e);

		if (r < 0)
			return r;
		if (h->inject.n == INJECT_MAX)
			return err_set(e, E2BIG, "'%s' has more than %d secrets", h->name, INJECT_MAX);
		h->inject.v[h->inject.n++] = pair;
		at += pair.n;
	}
	/* It fails where RLIMIT_MEMLOCK is next to nothing; then swap is what docs/secrets.md says of it. */
	(void)mlock(b->values, at);
	return 0;
}

/* --- TLS ---------------------------------------------------------------------------------------------------------- */

/* The PEM's certificates that OpenSSL can read; others are left out, as it does itself. */
static void add_roots(struct ssl_ctx_st *ctx, const struct str *pem)
{
	struct bio_st *in = tlslib.BIO_new_mem_buf(str_text(pem), (int)pem->len);
	struct x509_store_st *store = tlslib.SSL_CTX_get_cert_store(ctx);
	struct x509_st *cert;

	while (in && (cert = tlslib.PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		(void)tlslib.X509_STORE_add_cert(store, cert);
		tlslib.X509_free(cert);
	}
	tlslib.BIO_vfree(in);
	tlslib.ERR_clear_error();
}

static int make_client(struct broker *b, const struct str *roots, struct err **e)
{
	enum { VERIFY_PEER = 1 };
	static const unsigned char http1[] = "\x08http/1.1";

	b->client = tlslib_context();
	if (!b->client || tlslib.SSL_CTX_set_alpn_protos(b->client, http1, sizeof(http1) - 1) != 0)
		return err_set(e, EIO, "secrets bound to hosts: OpenSSL: %s", tlslib_failure());
	tlslib.SSL_CTX_set_verify(b->client, VERIFY_PEER, NULL);
	if (!strstr(str_text(roots), "-----BEGIN CERTIFICATE-----")) {
		(void)err_set(e, ENOENT, "secrets bound to hosts: no certificate authorities to verify hosts by");
		return err_hint(e, "install them (Debian: ca-certificates), or set SSL_CERT_FILE");
	}
	return 0;
}

static int make_authority(struct broker *b, struct err **e)
{
	_cleanup_strv_ struct strv names = STRV_INIT;
	struct ssl_ctx_st *ctx;
	int r;

	for (size_t i = 0; i < b->n_hosts; i++)
		strv_add(&names, b->hosts[i].name);
	strv_sort_unique(&names);
	r = authority_new(&names, time(NULL), &b->authority, e);
	for (size_t i = 0; i < names.n && r == 0; i++)
		r = authority_context(b->authority, names.v[i], time(NULL), &ctx, e);
	return r;
}

/* What is loaded late must be loaded before the root is empty. */
static int warm_up(struct broker *b, struct err **e)
{
	struct rewrite *w = NULL;
	struct ssl_st *ssl = tlslib.SSL_new(b->client);
	int r = rewrite_new(b->hosts[0].name, b->hosts[0].port, &b->hosts[0].inject, &w, e);

	rewrite_free(w);
	if (ssl) {
		struct bio_st *nothing = tlslib.BIO_new(tlslib.BIO_s_mem());
		struct bio_st *nowhere = tlslib.BIO_new(tlslib.BIO_s_mem());

		tlslib.SSL_set_bio(ssl, nothing, nowhere);
		tlslib.SSL_set_connect_state(ssl);
		(void)tlslib.SSL_do_handshake(ssl);
		tlslib.SSL_free(ssl);
		tlslib.ERR_clear_error();
	}
	return r;
}

/* --- the process -------------------------------------------------------------------------------------------------- */

const struct confine broker_walls = {
	.who = "secrets bound to hosts: the process for them",
	.filter = broker_program,
	.n_filter = ARRAY_SIZE(broker_program),
};

static int watch(struct broker *b, struct err **e)
{
	struct epoll_event control = {.events = EPOLLIN, .data.ptr = &b->control};
	struct epoll_event channel = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &b->channel};

	b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (b->epoll_fd < 0 || epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, b->control, &control) < 0 ||
	    epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, b->channel, &channel) < 0)
		return err_errno(e, errno, "secrets bound to hosts: cannot watch sockets");
	return 0;
}

static int prepare(void *arg, int control, struct err **e)
{
	struct start *s = arg;
	struct broker *b = s->b = xcalloc(1, sizeof(*s->b));
	struct rlimit limit = {1024, 1024};
	int r = tlslib_load(e);

	b->control = control;
	b->channel = s->channel;
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	b->max = limit.rlim_cur > FDS_RESERVED ? (limit.rlim_cur - FDS_RESERVED) / 2 : 0;
	b->max = b->max > CONNECTIONS_MAX ? CONNECTIONS_MAX : b->max;
	if (r == 0)
		r = load_secrets(b, s->config, e);
	if (r == 0)
		r = make_client(b, s->config->roots, e);
	if (r == 0)
		r = make_authority(b, e);
	if (r == 0)
		r = warm_up(b, e);
	if (r == 0)
		r = watch(b, e);
	if (r == 0) {
		const char *pem = authority_pem(b->authority);

		r = fd_send(control, pem, strlen(pem), NULL, 0);
		if (r < 0)
			(void)err_errno(e, -r, "secrets bound to hosts: cannot pass the box's certificate on");
	}
	/* The values are here; their files need not be. */
	for (size_t i = 0; i < s->config->n && r == 0; i++)
		(void)close(s->config->secrets[i].fd);
	return r;
}

static void serve(void *arg)
{
	const struct start *s = arg;

	/* OpenSSL takes 0.4 ms for each of some 140: the box need not wait for that. */
	add_roots(s->b->client, s->config->roots);
	broker_serve(s->b);
}

static int take_ca(int control, char **ret, struct err **e)
{
	_cleanup_free_ char *pem = xmalloc(CA_MAX);
	ssize_t n = recv(control, pem, CA_MAX, MSG_DONTWAIT);

	if (n <= 0 || n == CA_MAX)
		return err_set(e, EPROTO, "secrets bound to hosts: the process for it gave no certificate");
	*ret = xstrndup(pem, (size_t)n);
	return 0;
}

int broker_start(const struct broker_config *config, pid_t *ret_pid, int *ret_control, int *ret_engine, char **ret_ca,
		 struct err **e)
{
	_cleanup_close_ int ours = -1;
	_cleanup_close_ int theirs = -1;
	_cleanup_close_ int control = -1;
	struct start s = {.config = config};
	int fds[SECRETS_MAX + 1];
	struct confined what = {.name = "igloo-secrets",
				.what = "secrets bound to hosts",
				.fds = fds,
				.prepare = prepare,
				.walls = &broker_walls,
				.serve = serve};
	int pair[2];
	int r;

	if (config->n == 0 || config->n > SECRETS_MAX)
		return err_set(e, E2BIG, "secrets bound to hosts: at most %d", SECRETS_MAX);
	r = handoff_pair(pair);
	if (r < 0)
		return err_errno(e, -r, "secrets bound to hosts: cannot make a socket");
	ours = pair[0];
	theirs = s.channel = pair[1];
	fds[what.nfds++] = theirs;
	for (size_t i = 0; i < config->n; i++)
		fds[what.nfds++] = config->secrets[i].fd;
	r = confined_start(&what, &s, ret_pid, &control, e);
	if (r == 0)
		r = take_ca(control, ret_ca, e);
	if (r < 0)
		return r;
	*ret_control = take_fd(&control);
	*ret_engine = take_fd(&ours);
	return 0;
}
