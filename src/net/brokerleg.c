/* One side of a connection: TLS on a socket that never blocks. */
#include "net/broker_impl.h"
#include "net/tlslib.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

void leg_close(struct leg *l)
{
	if (l->ssl)
		tlslib.SSL_free(l->ssl);
	l->ssl = NULL;
	/* The engine has the socket, too: closing alone would neither end it nor its events. */
	if (l->fd >= 0) {
		(void)epoll_ctl(l->conn->b->epoll_fd, EPOLL_CTL_DEL, l->fd, NULL);
		(void)shutdown(l->fd, SHUT_RDWR);
	}
	l->fd = close_fd(l->fd);
	inject_wipe(&l->out);
	l->out_at = 0;
	l->open = false;
	l->ended = l->shut = true;
}

/* From the engine's bytes to the socket, once OpenSSL has taken all of them. True when it just went over. */
static bool go_to_socket(struct leg *l)
{
	enum { CTRL_PENDING = 10 }; /* openssl/bio.h */
	struct bio_st *in;

	if (!l->before || tlslib.BIO_ctrl(tlslib.SSL_get_rbio(l->ssl), CTRL_PENDING, 0, NULL) > 0)
		return false;
	in = tlslib.BIO_new_socket(l->fd, 0);
	if (in)
		tlslib.SSL_set0_rbio(l->ssl, in);
	l->before = false;
	return true;
}

/* What a call came to: may it succeed later? */
static bool must_wait(struct leg *l, int result)
{
	int error = tlslib.SSL_get_error(l->ssl, result);

	if (error == TLSLIB_WANT_READ)
		l->readable = false;
	return error == TLSLIB_WANT_READ || error == TLSLIB_WANT_WRITE;
}

int leg_shake(struct leg *l)
{
	int r;

	do {
		tlslib.ERR_clear_error();
		r = tlslib.SSL_do_handshake(l->ssl);
	} while (r != 1 && must_wait(l, r) && go_to_socket(l));
	if (r == 1) {
		l->open = l->readable = true;
		return 1;
	}
	return must_wait(l, r) ? 0 : -1;
}

int leg_take(struct leg *l, uint8_t *to, size_t n)
{
	int r;

	if (!l->readable)
		return 0;
	do {
		tlslib.ERR_clear_error();
		r = tlslib.SSL_read(l->ssl, to, (int)n);
	} while (r <= 0 && go_to_socket(l));
	if (r > 0) {
		l->conn->since = l->conn->b->now;
		return r;
	}
	if (must_wait(l, r))
		return 0;
	l->ended = true;
	l->clean = tlslib.SSL_get_error(l->ssl, r) == TLSLIB_ZERO_RETURN;
	tlslib.ERR_clear_error();
	return -1;
}

int leg_put(struct leg *l, const void *bytes, size_t n)
{
	int r;

	tlslib.ERR_clear_error();
	r = tlslib.SSL_write(l->ssl, bytes, (int)n);
	if (r > 0) {
		l->conn->since = l->conn->b->now;
		return r;
	}
	return must_wait(l, r) ? 0 : -1;
}

bool leg_flush(struct leg *l)
{
	int r;

	if (!l->open || l->shut || l->out.len == 0)
		return false;
	r = leg_put(l, l->out.p + l->out_at, l->out.len - l->out_at);
	if (r == 0)
		return false;
	if (r > 0)
		l->out_at += (size_t)r;
	l->shut = r < 0;
	if (l->shut || l->out_at == l->out.len) {
		inject_wipe(&l->out);
		l->out_at = 0;
	}
	return true;
}

bool leg_finish(struct leg *l, bool clean)
{
	int r;

	if (l->shut)
		return true;
	tlslib.ERR_clear_error();
	r = clean ? tlslib.SSL_shutdown(l->ssl) : 0;
	if (r < 0 && must_wait(l, r))
		return false;
	(void)shutdown(l->fd, SHUT_WR);
	l->shut = true;
	return true;
}
