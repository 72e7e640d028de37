#include "box/boxnet.h"

#include "base/log.h"
#include "box/boxbroker.h"
#include "box/boxstore.h"
#include "box/denials.h"
#include "box/grants.h"
#include "box/hostdns.h"
#include "box/kind.h"
#include "box/nixsettings.h"
#include "box/redact.h"
#include "net/policy.h"
#include "sys/confined.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KEPT_MAX = 64, SAID_MAX = 5 };

#define SYNTH_BASE 0xc6120000U /* 198.18.0.0 */

struct boxnet {
	const struct slot *slot;
	struct box_spec *spec;
	struct strv own;       /* entries of this box alone: spec->allow without what is granted */
	struct strv requested; /* of those, what the flake asked for and got */
	struct strv stored;    /* of those, what the user's answer for the repository grants, when last looked */
	struct engine_sockets sockets;
	const struct kind *kind; /* of the box, and the box as it has it */
	const struct kind_box *running;
	struct boxbroker *broker; /* NULL: no secret is bound to a host */
	bool has_gateway;         /* made for something; else the box's DNS is all there is */
	bool waiting;             /* the sockets are here: no engine yet */
	bool every;               /* a socket for every port at once is here, or was given to the engine */
	int anchor;               /* of the gateway; -1 without one */
	pid_t engine;
	int control;         /* -1 without an engine */
	struct hostdns *dns; /* while there is one */
	struct redact *redact;
	struct boxstore *store;
	struct engine_event denied[KEPT_MAX];
	size_t n_denied;
	size_t more; /* denied beyond those */
};

static void close_sockets(struct boxnet *n)
{
	n->sockets.dns_udp = close_fd(n->sockets.dns_udp);
	n->sockets.dns_tcp = close_fd(n->sockets.dns_tcp);
	for (size_t i = 0; i < n->sockets.n_spare; i++)
		n->sockets.spare[i] = close_fd(n->sockets.spare[i]);
	n->sockets.n_spare = 0;
	n->sockets.every = close_fd(n->sockets.every);
	n->sockets.anchor = close_fd(n->sockets.anchor);
	n->sockets.store = close_fd(n->sockets.store);
	n->anchor = close_fd(n->anchor);
	n->waiting = n->every = false;
}

static void replace(struct strv *to, struct strv *from)
{
	strv_release(to);
	*to = *from;
	*from = (struct strv)STRV_INIT;
}

/* What the flake got by the user's kept answer goes when that is taken back (igloo deny). */
static int drop_denied(struct boxnet *n, struct err **e)
{
	_cleanup_requests_ struct requests granted = {0};
	_cleanup_strv_ struct strv kept = STRV_INIT;
	_cleanup_strv_ struct strv stored = STRV_INIT;
	const struct strv *now = &granted.list[REQUESTS_ALLOW];
	int r = n->requested.n > 0 ? grants_requests(n->slot, &granted, e) : 0;

	if (r < 0 || n->requested.n == 0)
		return r;
	for (size_t i = 0; i < n->own.n; i++)
		if (!strv_has(&n->stored, n->own.v[i]) || strv_has(now, n->own.v[i]))
			strv_add(&kept, n->own.v[i]);
	for (size_t i = 0; i < n->requested.n; i++)
		if (strv_has(now, n->requested.v[i]))
			strv_add(&stored, n->requested.v[i]);
	replace(&n->own, &kept);
	replace(&n->stored, &stored);
	return 0;
}

static int read_requested(struct boxnet *n, struct err **e)
{
	_cleanup_requests_ struct requests requested = {0};
	int r = n->spec->requested ? requests_parse(n->spec->requested, strlen(n->spec->requested), &requested, e) : 0;

	strv_add_all(&n->requested, requested.list[REQUESTS_ALLOW].v);
	return r < 0 ? r : drop_denied(n, e);
}

/* own and the grants, each checked. */
static int effective(const struct boxnet *n, struct strv *ret, struct err **e)
{
	_cleanup_policy_ struct policy *policy = policy_new();
	int r;

	strv_add_all(ret, n->own.v);
	r = grants_load(n->slot, ret, e);
	if (r < 0)
		return r;
	strv_sort_unique(ret);
	return policy_add_all(policy, ret, e);
}

int boxnet_new(struct box_spec *spec, const struct slot *slot, struct boxnet **ret, struct err **e)
{
	struct boxnet *n = xcalloc(1, sizeof(*n));
	_cleanup_strv_ struct strv all = STRV_INIT;
	int r;

	n->slot = slot;
	n->spec = spec;
	n->control = n->anchor = -1;
	n->sockets = ENGINE_SOCKETS_INIT;
	/* The engine is confined and cannot load what names in other scripts need: it gets their normal form. */
	r = policy_normalise_all(&spec->allow, &n->own, e);
	if (r == 0)
		r = read_requested(n, e);
	if (r == 0)
		r = effective(n, &all, e);
	if (r < 0) {
		boxnet_free(n);
		return r;
	}
	replace(&spec->allow, &all);
	nixsettings_configure(spec);
	*ret = n;
	return 0;
}

int boxnet_bind(struct boxnet *n, const struct secrets *secrets, struct err **e)
{
	return boxbroker_new(secrets, n->spec, &n->broker, e);
}

struct engine_sockets *boxnet_sockets(struct boxnet *n)
{
	return &n->sockets;
}

static int start_engine(struct boxnet *n, struct err **e)
{
	_cleanup_err_ struct err *ignored = NULL;
	struct engine_config config = {.sockets = n->sockets,
				       .base = SYNTH_BASE,
				       .policy = &n->spec->allow,
				       .allow_unnamed_tls = n->spec->allow_unnamed_tls};
	int r;

	/* Before the engine reads what is there now. Without it, it works with that. */
	if (hostdns_new("/etc/resolv.conf", &n->dns, &ignored) < 0)
		log_debug("%s", err_message(ignored));
	boxbroker_connect(n->broker, &config);
	r = engine_start(&config, &n->engine, &n->control, e);
	/* They are the engine's now, or closed. */
	n->sockets = ENGINE_SOCKETS_INIT;
	n->waiting = false;
	return r;
}

static bool is_empty(const struct strv *entries)
{
	_cleanup_policy_ struct policy *policy = policy_new();

	return policy_add_all(policy, entries, NULL) == 0 && policy_is_empty(policy);
}

/* Connections to granted addresses need no question to DNS before. */
static bool grants_addresses(const struct strv *entries)
{
	_cleanup_policy_ struct policy *policy = policy_new();

	return policy_add_all(policy, entries, NULL) == 0 && policy_nets(policy, NULL, 0) > 0;
}

void boxnet_set_kind(struct boxnet *n, const struct kind *kind, const struct kind_box *running)
{
	n->kind = kind;
	n->running = running;
}

/* The box's first socket of this kind, or that of a gateway it gets later. */
static void take_store(struct boxnet *n)
{
	int listener = take_fd(&n->sockets.store);

	if (listener < 0)
		return;
	if (n->store)
		boxstore_move(n->store, listener);
	else
		n->store = boxstore_new(listener, n->spec->workspace);
}

int boxnet_begin(struct boxnet *n, struct err **e)
{
	take_store(n);
	n->waiting = n->sockets.dns_udp >= 0;
	n->has_gateway = n->sockets.anchor >= 0;
	n->every = n->sockets.every >= 0;
	n->anchor = take_fd(&n->sockets.anchor);
	return grants_addresses(&n->spec->allow) ? start_engine(n, e) : 0;
}

void boxnet_poll(const struct boxnet *n, struct pollfd fds[BOXNET_POLLS])
{
	fds[0] = (struct pollfd){.fd = -1, .events = POLLIN};
	fds[1] = fds[2] = fds[3] = fds[0];
	if (!n)
		return;
	boxstore_poll(n->store, &fds[3]);
	if (n->waiting) {
		fds[0].fd = n->sockets.dns_udp;
		fds[1].fd = n->sockets.dns_tcp;
	} else {
		fds[0].fd = n->control;
		fds[2].fd = n->control >= 0 ? hostdns_fd(n->dns) : -1;
	}
}

void boxnet_conceal(struct boxnet *n, const struct secrets *secrets)
{
	redact_free(n->redact);
	n->redact = redact_new(secrets);
}

static void conceal(const struct boxnet *n, char text[static HOSTNAME_MAX + 1])
{
	_cleanup_str_ struct str clean = STR_INIT;

	redact_text(n->redact, text, &clean);
	(void)snprintf(text, HOSTNAME_MAX + 1, "%s", str_text(&clean));
}

static void take(struct boxnet *n, struct engine_event *event)
{
	/* Names are what the box asked for: it may have asked for what it is to keep to itself. */
	if (n->redact) {
		conceal(n, event->host);
		conceal(n, event->detail);
	}
	denials_keep(n->slot, n->spec->name, event);
	if (n->n_denied < KEPT_MAX)
		n->denied[n->n_denied++] = *event;
	else
		n->more++;
}

static void end_engine(struct boxnet *n)
{
	n->control = close_fd(n->control);
	hostdns_free(n->dns);
	n->dns = NULL;
	(void)confined_end(n->engine);
	n->engine = 0;
}

static void tell_servers(struct boxnet *n)
{
	_cleanup_str_ struct str servers = STR_INIT;

	if (!hostdns_changed(n->dns, &servers))
		return;
	log_debug("the host's name servers are %s now", str_text(&servers));
	(void)engine_set_servers(n->control, str_text(&servers));
}

void boxnet_settle(struct boxnet *n)
{
	struct engine_event event;

	while (n && n->control >= 0 && engine_event(n->control, &event) > 0)
		take(n, &event);
}

void boxnet_work(struct boxnet *n, const struct pollfd fds[BOXNET_POLLS])
{
	_cleanup_err_ struct err *e = NULL;
	struct engine_event event;
	int r;

	if (!n)
		return;
	if (fds[2].revents && n->dns && n->control >= 0)
		tell_servers(n);
	boxstore_work(n->store, &fds[3]);
	if (!fds[0].revents && !fds[1].revents)
		return;
	if (n->waiting) {
		if (start_engine(n, &e) < 0)
			log_note("the box has no network: %s", err_message(e));
		return;
	}
	while ((r = engine_event(n->control, &event)) > 0)
		take(n, &event);
	if (r < 0) {
		/* With its last socket the gateway is gone: the box has no network, which is what it may have. */
		log_note("the box has no network any more: its engine ended");
		end_engine(n);
		close_sockets(n);
	}
}

static int change_own(struct boxnet *n, char op, const char *entry, struct err **e)
{
	_cleanup_str_ struct str normal = STR_INIT;
	_cleanup_strv_ struct strv kept = STRV_INIT;
	int r = policy_entry_normalise(entry, &normal, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n->own.n; i++)
		if (strcmp(n->own.v[i], str_text(&normal)) != 0)
			strv_add(&kept, n->own.v[i]);
	if (op == '+')
		strv_add(&kept, str_text(&normal));
	replace(&n->own, &kept);
	return 0;
}

/* The box was started with nothing granted: only now it gets a gateway. */
static int open_gateway(struct boxnet *n, struct err **e)
{
	int r;

	end_engine(n);
	close_sockets(n);
	r = n->kind->open_gateway(n->running->pid, n->spec, &n->sockets, e);
	return r < 0 ? r : boxnet_begin(n, e);
}

/* Has `fresh` addresses that `old` has no route for? */
static bool has_new_nets(const struct policy *old, const struct policy *fresh)
{
	size_t n_old = policy_nets(old, NULL, 0);
	size_t n = policy_nets(fresh, NULL, 0);
	_cleanup_free_ struct policy_net *had = xcalloc(n_old + 1, sizeof(*had));
	_cleanup_free_ struct policy_net *nets = xcalloc(n + 1, sizeof(*nets));
	bool all = true;

	(void)policy_nets(old, had, n_old);
	(void)policy_nets(fresh, nets, n);
	for (size_t i = 0; i < n && all; i++) {
		all = false;
		for (size_t k = 0; k < n_old && !all; k++)
			all = had[k].bits == nets[i].bits && address_equal(&had[k].net, &nets[i].net);
	}
	return !all;
}

/* Before the engine lets through what is new: routes and listeners for it. */
static int widen_gateway(struct boxnet *n, const struct strv *all, struct err **e)
{
	_cleanup_policy_ struct policy *old = policy_new();
	_cleanup_policy_ struct policy *fresh = policy_new();
	struct box_spec spec = {.allow = *all};
	int every = -1;
	int r = policy_add_all(old, &n->spec->allow, e);

	if (r == 0)
		r = policy_add_all(fresh, all, e);
	if (r < 0 || (!has_new_nets(old, fresh) && policy_every_port(fresh) <= n->every))
		return r;
	r = n->kind->widen_gateway(n->running->pid, &spec, n->anchor, n->every ? NULL : &every, e);
	if (r < 0 || every < 0)
		return r;
	n->every = true;
	if (n->control >= 0)
		return engine_add_every(n->control, every, e);
	n->sockets.every = every;
	return 0;
}

int boxnet_change(struct boxnet *n, char op, const char *entry, struct err **e)
{
	_cleanup_strv_ struct strv all = STRV_INIT;
	_cleanup_strv_ struct strv before = STRV_INIT;
	int r = 0;

	strv_add_all(&before, n->own.v);
	if (!n->waiting && n->control < 0)
		return err_set(e, ENETDOWN, "the box has no network any more: its engine ended");
	if (op == '+' || op == '-')
		r = change_own(n, op, entry, e);
	if (r == 0)
		r = drop_denied(n, e);
	if (r == 0)
		r = effective(n, &all, e);
	if (r == 0 && n->has_gateway)
		r = widen_gateway(n, &all, e);
	if (r == 0 && n->control >= 0 && n->has_gateway)
		r = engine_set_policy(n->control, &all, e);
	if (r < 0) {
		replace(&n->own, &before);
		return r;
	}
	replace(&n->spec->allow, &all);
	if (n->waiting && n->has_gateway && grants_addresses(&n->spec->allow))
		return start_engine(n, e);
	if (n->has_gateway || is_empty(&n->spec->allow))
		return 0;
	return open_gateway(n, e);
}

void boxnet_notes(const struct boxnet *n, struct strv *to)
{
	size_t more = n->more;

	for (size_t i = 0; i < n->n_denied; i++) {
		_cleanup_free_ char *entry = denials_entry(&n->denied[i]);
		const char *option = denials_option(&n->denied[i]);
		_cleanup_str_ struct str line = STR_INIT;

		if (i >= SAID_MAX) {
			more++;
			continue;
		}
		denials_describe(&n->denied[i], &line);
		strv_addf(to, "%s%s%s%s", n->denied[i].reason == ENGINE_FAILED ? "" : "denied: ", str_text(&line),
			  *entry   ? "; to allow it: igloo allow "
			  : option ? "; to let it pass: igloo run "
				   : "",
			  *entry   ? entry
			  : option ? option
				   : "");
	}
	if (more > 0)
		strv_addf(to, "and %zu more denied: igloo why", more);
}

void boxnet_events_json(const struct boxnet *n, struct str *to)
{
	for (size_t i = 0; i < n->n_denied; i++)
		denials_json(&n->denied[i], n->spec->name, time(NULL), to);
}

void boxnet_free(struct boxnet *n)
{
	if (!n)
		return;
	redact_free(n->redact);
	end_engine(n);
	boxstore_free(n->store);
	boxbroker_free(n->broker);
	close_sockets(n);
	strv_release(&n->own);
	strv_release(&n->requested);
	strv_release(&n->stored);
	free(n);
}
