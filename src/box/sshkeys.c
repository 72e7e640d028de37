#include "box/sshkeys.h"

#include "base/clock.h"
#include "fmt/base64.h"
#include "fmt/digest.h"
#include "sys/aside.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MS = 5000, FILE_MAX = 64 * 1024, COMMENT_MAX = 256 };

/* --- the agent ---------------------------------------------------------------------------------------------------- */

int sshkeys_connect(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	memcpy(at.sun_path, path, strlen(path));
	return connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ? -errno : take_fd(&fd);
}

static int wait_for(int fd, short events, int64_t until)
{
	struct pollfd p = {.fd = fd, .events = events};
	int64_t left = until - clock_ms(CLOCK_MONOTONIC);
	int n = left > 0 ? poll(&p, 1, (int)left) : 0;

	return n > 0 || (n < 0 && errno == EINTR) ? 0 : n < 0 ? -errno : -ETIMEDOUT;
}

/* One question and its answer, without its length. */
static int ask_list(int fd, struct str *answer)
{
	const int64_t until = clock_ms(CLOCK_MONOTONIC) + ANSWER_MS;
	_cleanup_str_ struct str question = STR_INIT;
	ssize_t whole = 0;
	int r;

	agentmsg_add_list_request(&question);
	/* It fits into a fresh socket. */
	if (send(fd, question.p, question.len, MSG_NOSIGNAL) != (ssize_t)question.len)
		return -EPIPE;
	while ((whole = agentmsg_length((const uint8_t *)str_text(answer), answer->len)) == 0 ||
	       (whole > 0 && answer->len < (size_t)whole)) {
		char piece[4096];
		ssize_t n = recv(fd, piece, sizeof(piece), 0);

		if (n == 0)
			return -EPIPE;
		if (n > 0) {
			str_add(answer, piece, (size_t)n);
		} else if (errno != EAGAIN && errno != EINTR) {
			return -errno;
		} else {
			r = wait_for(fd, POLLIN, until);
			if (r < 0)
				return r;
		}
	}
	return whole < 0 || (size_t)whole != answer->len ? -EBADMSG : 0;
}

/* --- fingerprints ------------------------------------------------------------------------------------------------- */

static int hash_all(void *arg, struct str *answer, struct err **e)
{
	const struct sshkeys *keys = arg;
	uint8_t digest[DIGEST_SHA256_BYTES];
	int r = 0;

	for (size_t i = 0; i < keys->n && r == 0; i++) {
		r = digest_sha256(keys->v[i].key.p, keys->v[i].key.len, digest, e);
		str_add(answer, digest, sizeof(digest));
	}
	return r;
}

/* Aside: the supervisor, which this process becomes, needs no libcrypto. */
static int fingerprint_all(struct sshkeys *keys, struct err **e)
{
	_cleanup_str_ struct str digests = STR_INIT;
	int r = keys->n > 0 ? aside_run(hash_all, keys, &digests, e) : 0;

	if (r == 0 && digests.len != keys->n * DIGEST_SHA256_BYTES)
		r = err_set(e, EIO, "cannot hash the keys of the SSH agent");
	for (size_t i = 0; i < keys->n && r == 0; i++) {
		_cleanup_str_ struct str text = STR_INIT;

		str_adds(&text, "SHA256:");
		base64_encode(digests.p + i * DIGEST_SHA256_BYTES, DIGEST_SHA256_BYTES, &text);
		keys->v[i].fingerprint = xstrndup(str_text(&text), strcspn(str_text(&text), "="));
	}
	return r;
}

/* --- the list ----------------------------------------------------------------------------------------------------- */

static ptrdiff_t find(const struct sshkeys *keys, const struct str *key)
{
	for (size_t i = 0; i < keys->n; i++)
		if (keys->v[i].key.len == key->len && memcmp(keys->v[i].key.p, key->p, key->len) == 0)
			return (ptrdiff_t)i;
	return -1;
}

static void add(struct sshkeys *to, struct str *key, const char *comment, size_t n)
{
	_cleanup_str_ struct str printable = STR_INIT;

	to->v = xrealloc_array(to->v, to->n + 1, sizeof(*to->v));
	str_add_printable(&printable, comment, n < COMMENT_MAX ? n : COMMENT_MAX, false);
	to->v[to->n++] = (struct sshkey){.key = *key, .comment = str_take(&printable)};
	*key = (struct str)STR_INIT;
}

static int parse_list(const struct str *answer, struct sshkeys *keys)
{
	_cleanup_free_ struct agentmsg_identity *all = xcalloc(AGENTMSG_IDENTITIES_MAX, sizeof(*all));
	ssize_t n = agentmsg_identities((const uint8_t *)answer->p + 4, answer->len - 4, all, AGENTMSG_IDENTITIES_MAX);

	for (ssize_t i = 0; i < n; i++) {
		_cleanup_str_ struct str key = STR_INIT;

		/* A key and its certificates are one. */
		if (agentmsg_plain_key(all[i].key.p, all[i].key.n, &key) && find(keys, &key) < 0)
			add(keys, &key, (const char *)all[i].comment.p, all[i].comment.n);
	}
	return n < 0 ? (int)n : 0;
}

/* An absolute path, that the supervisor of a detached box finds, too. A link at its end stays: many a user has one that
 * leads to the agent of the last login. */
static char *resolve_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *folder = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
	_cleanup_free_ char *real = access(path, F_OK) < 0 ? NULL : realpath(folder, NULL);

	return real ? xasprintf("%s/%s", strcmp(real, "/") == 0 ? "" : real, slash ? slash + 1 : path) : NULL;
}

static int agent_socket(char **ret, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;
	const char *path = getenv("SSH_AUTH_SOCK");

	if (!str_has(path)) {
		(void)err_set(e, ENOENT, "there is no SSH agent: SSH_AUTH_SOCK is not set");
		return err_hint(e, "start one and give it a key: eval \"$(ssh-agent)\"; ssh-add");
	}
	*ret = resolve_folder(path);
	if (*ret)
		return 0;
	str_add_printable(&shown, path, strnlen(path, PATH_MAX), false);
	(void)err_errno(e, errno, "cannot reach the SSH agent: '%s' of SSH_AUTH_SOCK", str_text(&shown));
	return err_hint(e, "the agent may have ended; see: ssh-add -l");
}

int sshkeys_read(struct sshkeys *ret, struct err **e)
{
	_cleanup_sshkeys_ struct sshkeys keys = {NULL, NULL, 0};
	_cleanup_str_ struct str answer = STR_INIT;
	_cleanup_close_ int fd = -1;
	int r = agent_socket(&keys.socket, e);

	if (r < 0)
		return r;
	r = fd = sshkeys_connect(keys.socket);
	if (r >= 0)
		r = ask_list(fd, &answer);
	if (r == 0)
		r = parse_list(&answer, &keys);
	if (r < 0) {
		(void)err_errno(e, -r, "the SSH agent at '%s' does not answer as one", keys.socket);
		return err_hint(e, "see: ssh-add -l");
	}
	if (keys.n == 0) {
		(void)err_set(e, ENOKEY, "the SSH agent has no keys, or is locked");
		return err_hint(e, "ssh-add gives it one; ssh-add -X unlocks it");
	}
	r = fingerprint_all(&keys, e);
	if (r < 0)
		return r;
	*ret = keys;
	keys = (struct sshkeys){NULL, NULL, 0};
	return 0;
}

/* --- which -------------------------------------------------------------------------------------------------------- */

void sshkeys_add_lines(const struct sshkeys *keys, struct str *to)
{
	for (size_t i = 0; i < keys->n; i++)
		str_addf(to, "%s%s %s", i ? "\n" : "", keys->v[i].fingerprint, keys->v[i].comment);
}

int sshkeys_add(struct sshkeys *to, const struct sshkeys *from, size_t at, struct err **e)
{
	const struct sshkey *k = &from->v[at];
	struct str key = STR_INIT;

	if (find(to, &k->key) >= 0)
		return 0;
	if (to->n == AGENTMSG_KEYS_MAX)
		return err_set(e, E2BIG, "a box may use at most %d keys of the SSH agent", AGENTMSG_KEYS_MAX);
	if (!to->socket)
		to->socket = xstrdup(from->socket);
	str_add(&key, k->key.p, k->key.len);
	add(to, &key, k->comment, strlen(k->comment));
	to->v[to->n - 1].fingerprint = xstrdup(k->fingerprint);
	return 0;
}

/* The first key of a file as ssh-keygen(1) writes it: "type base64 comment". */
static bool parse_public_key(char *text, struct str *to)
{
	char *rest = text;
	char *line;

	while ((line = strsep(&rest, "\n"))) {
		_cleanup_str_ struct str key = STR_INIT;
		size_t type;
		size_t n;

		line += strspn(line, " \t");
		if (*line == '\0' || *line == '#')
			continue;
		type = strcspn(line, " \t");
		line += type + strspn(line + type, " \t");
		n = strcspn(line, " \t\r");
		return base64_decode(line, n, &key) && agentmsg_plain_key((const uint8_t *)key.p, key.len, to);
	}
	return false;
}

/* 1 when there is such a key, 0 when there is no such file, -errno. */
static int find_by_file(const struct sshkeys *all, const char *word, const char *shown, size_t *ret, struct err **e)
{
	_cleanup_close_ int fd = open(word, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_str_ struct str key = STR_INIT;
	ptrdiff_t at;
	int r;

	if (fd < 0)
		return 0;
	r = fd_read_all(fd, FILE_MAX, &text, e);
	if (r < 0)
		return err_wrap(e, "--ssh-key '%s'", shown);
	if (text.len == 0 || strlen(text.p) != text.len || !parse_public_key(text.p, &key)) {
		(void)err_set(e, EINVAL, "--ssh-key '%s' is not the file of a public key", shown);
		return err_hint(e, "ssh-keygen writes it beside the private one, with .pub at the end");
	}
	at = find(all, &key);
	if (at < 0)
		return 0;
	*ret = (size_t)at;
	return 1;
}

static int no_such_key(const struct sshkeys *all, const char *shown, struct err **e)
{
	_cleanup_str_ struct str list = STR_INIT;

	sshkeys_add_lines(all, &list);
	(void)err_set(e, ENOKEY, "the SSH agent has no key '%s'; it has:", shown);
	(void)err_detail(e, str_text(&list));
	return err_hint(e, "--ssh-key takes a fingerprint, a comment, the file of a public key, or all");
}

static int select_one(const struct sshkeys *all, const char *word, struct sshkeys *ret, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;
	size_t found = 0;
	size_t at = 0;
	int r;

	str_add_printable(&shown, word, strnlen(word, PATH_MAX), false);
	for (size_t i = 0; i < all->n; i++) {
		if (strcmp(all->v[i].fingerprint, word) == 0)
			return sshkeys_add(ret, all, i, e);
		if (*word && strcmp(all->v[i].comment, word) == 0) {
			at = i;
			found++;
		}
	}
	if (found > 1) {
		(void)err_set(e, EEXIST, "--ssh-key '%s': %zu keys of the SSH agent have that comment",
			      str_text(&shown), found);
		return err_hint(e, "`ssh-add -l` shows their fingerprints, SHA256:…");
	}
	r = found == 1 ? 1 : find_by_file(all, word, str_text(&shown), &at, e);
	if (r < 0)
		return r;
	return r > 0 ? sshkeys_add(ret, all, at, e) : no_such_key(all, str_text(&shown), e);
}

int sshkeys_select(const struct sshkeys *all, const struct strv *words, struct sshkeys *ret, struct err **e)
{
	int r = 0;

	for (size_t i = 0; i < words->n && r == 0; i++) {
		if (strcmp(words->v[i], "all") != 0) {
			r = select_one(all, words->v[i], ret, e);
			continue;
		}
		for (size_t k = 0; k < all->n && r == 0; k++)
			r = sshkeys_add(ret, all, k, e);
	}
	return r;
}

/* --- shares ------------------------------------------------------------------------------------------------------- */

/* Is `path` the folder, or below it? */
static bool lies_in(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	while (n > 0 && folder[n - 1] == '/')
		n--;
	return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

int sshkeys_check_shares(const struct sshkeys *keys, const struct box_spec *spec, struct err **e)
{
	_cleanup_free_ char *real = keys->n > 0 ? realpath(keys->socket, NULL) : NULL;

	for (size_t i = 0; keys->n > 0 && i < spec->nshares; i++) {
		const struct box_share *share = &spec->shares[i];

		if (lies_in(keys->socket, share->source) || (real && lies_in(real, share->source))) {
			(void)err_set(e, EINVAL, "the SSH agent's socket '%s' lies in '%s', which the box shares",
				      keys->socket, share->source);
			return err_hint(e, "the box would have all of the agent's keys, whatever --ssh-key says");
		}
		if (lies_in(SSHKEYS_BOX_SOCKET, share->target))
			return err_set(e, EINVAL, "the box's SSH agent at %s would be hidden by the share '%s'",
				       SSHKEYS_BOX_SOCKET, share->target);
	}
	return 0;
}

void sshkeys_release(struct sshkeys *keys)
{
	for (size_t i = 0; i < keys->n; i++) {
		str_release(&keys->v[i].key);
		free(keys->v[i].comment);
		free(keys->v[i].fingerprint);
	}
	free(keys->v);
	free(keys->socket);
	*keys = (struct sshkeys){NULL, NULL, 0};
}
