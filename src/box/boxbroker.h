/* The broker (net/broker.h) of a box that has secrets bound to hosts, as its supervisor holds it; and what makes the
 * box's programs trust its certificates. */
#ifndef IGLOO_BOX_BOXBROKER_H
#define IGLOO_BOX_BOXBROKER_H

#include "base/err.h"
#include "box/secrets.h"
#include "box/spec.h"
#include "net/engine.h"

struct boxbroker;

/* *ret is NULL when no secret is bound. Starts the broker, and adds to the spec's files the certificates that the box
 * trusts: BOX_CA_FILE and, for Java, BOX_JAVA_CA_FILE. The secrets must be open. */
int boxbroker_new(const struct secrets *s, struct box_spec *spec, struct boxbroker **ret, struct err **e);
/* For the box's one engine: from now on the broker ends with it. Without a broker (NULL) no host is bound. */
void boxbroker_connect(struct boxbroker *b, struct engine_config *config);
void boxbroker_free(struct boxbroker *b); /* accepts NULL */

/* The variables by which programs find the box's certificates, if a secret is bound. */
void boxbroker_add_variables(const struct secrets *s, struct strv *env);

#endif
