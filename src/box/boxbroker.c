#include "box/boxbroker.h"

#include "box/castore.h"
#include "box/secretbind.h"
#include "net/broker.h"
#include "net/jks.h"
#include "sys/confined.h"

#include <string.h>

#define CA_PATH "/etc/ssl/certs/ca-certificates.crt"

struct boxbroker {
	pid_t pid;
	int control;
	int engine;        /* -1: the engine has it */
	struct strv hosts; /* "name:port" */
};

static size_t count(const struct secrets *s)
{
	size_t n = 0;

	for (size_t i = 0; s && i < s->n; i++)
		n += s->v[i].hosts.n;
	return n;
}

static int start(const struct secrets *s, struct boxbroker *b, char **ret_ca, struct err **e)
{
	size_t n = count(s);
	_cleanup_free_ struct broker_secret *list = xcalloc(n, sizeof(*list));
	_cleanup_strv_ struct strv names = STRV_INIT;
	_cleanup_str_ struct str roots = STR_INIT;
	const struct broker_config config = {.secrets = list, .n = n, .roots = &roots};
	size_t at = 0;
	int r = castore_add_own(&roots, e);

	for (size_t i = 0; i < s->n; i++) {
		const struct secret_use *use = &s->v[i];

		for (size_t k = 0; k < use->hosts.n; k++) {
			size_t len;
			uint16_t port = secretbind_split(use->hosts.v[k], &len);

			strv_addf(&names, "%.*s", (int)len, use->hosts.v[k]);
			strv_add(&b->hosts, use->hosts.v[k]);
			list[at++] = (struct broker_secret){.name = use->name,
							    .placeholder = use->placeholder,
							    .fd = use->fd,
							    .host = names.v[names.n - 1],
							    .port = port};
		}
	}
	return r < 0 ? r : broker_start(&config, &b->pid, &b->control, &b->engine, ret_ca, e);
}

static int make(const struct secrets *s, struct box_spec *spec, struct boxbroker **ret, struct err **e)
{
	_cleanup_str_ struct str bundle = STR_INIT;
	_cleanup_str_ struct str java = STR_INIT;
	_cleanup_free_ char *ca = NULL;
	struct boxbroker *b = xcalloc(1, sizeof(*b));
	int r;

	b->control = b->engine = -1;
	r = start(s, b, &ca, e);
	if (r < 0) {
		boxbroker_free(b);
		return r;
	}
	/* Other hosts are the box's own affair: it trusts what every box does, and its authority. */
	castore_add_system(&bundle);
	str_addf(&bundle, "\n%s", ca);
	(void)jks_add(str_text(&bundle), &java);
	box_spec_add_bytes(spec, BOX_CA_FILE, bundle.p, bundle.len);
	box_spec_add_bytes(spec, BOX_JAVA_CA_FILE, java.p, java.len);
	*ret = b;
	return 0;
}

int boxbroker_new(const struct secrets *s, struct box_spec *spec, struct boxbroker **ret, struct err **e)
{
	*ret = NULL;
	return count(s) == 0 ? 0 : make(s, spec, ret, e);
}

void boxbroker_connect(struct boxbroker *b, struct engine_config *config)
{
	if (!b)
		return;
	/* -1 for another engine than the first: it refuses these hosts, whatever it had of the broker. */
	config->bound = &b->hosts;
	config->broker = take_fd(&b->engine);
}

void boxbroker_free(struct boxbroker *b)
{
	if (!b)
		return;
	(void)close_fd(b->control);
	(void)close_fd(b->engine);
	(void)confined_end(b->pid);
	strv_release(&b->hosts);
	free(b);
}

void boxbroker_add_variables(const struct secrets *s, struct strv *env)
{
	static const char *const names[] = {
		"SSL_CERT_FILE",      "NIX_SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE",
		"REQUESTS_CA_BUNDLE", "PIP_CERT",          "CARGO_HTTP_CAINFO",   "AWS_CA_BUNDLE",  "DENO_CERT",
		"BUNDLE_SSL_CA_CERT", "HEX_CACERTS_PATH",  "npm_config_cafile",
	};
	static const char java[] = "JAVA_TOOL_OPTIONS";
	const char *had = strv_env_get(env, java);
	_cleanup_free_ char *options = NULL;

	if (count(s) == 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		strv_env_set(env, names[i], CA_PATH);
	options = xasprintf("%s%s-Djavax.net.ssl.trustStore=%s/%s -Djavax.net.ssl.trustStoreType=JKS", had ? had : "",
			    str_has(had) ? " " : "", BOX_FILES, BOX_JAVA_CA_FILE);
	strv_env_set(env, java, options);
}
