#include "cmd/portsview.h"

#include <string.h>

enum { STATE_MAX = 1 << 20, STATE_DEPTH = 8 };

json_t *portsview_of(const struct box_info *box)
{
	_cleanup_json_ json_t *state = NULL;
	json_t *ports;

	if (!box->json || json_parse(box->json, strlen(box->json), STATE_MAX, STATE_DEPTH, &state, NULL) < 0)
		return json_array();
	ports = json_object_get(state, "ports");
	return json_is_array(ports) ? json_incref(ports) : json_array();
}

void portsview_add(const json_t *port, struct str *to)
{
	const json_t *addresses = json_object_get(port, "addresses");
	const char *address = json_string_value(json_array_get(addresses, 0));

	/* Both of the loopback's go without saying, and so does the one of a host without IPv6. */
	if (address && strcmp(address, "127.0.0.1") != 0)
		str_addf(to, strchr(address, ':') ? "[%s]:" : "%s:", address);
	str_addf(to, "%d->", (int)json_integer_value(json_object_get(port, "host")));
	if (json_integer_value(json_object_get(port, "guest")) > 0)
		str_addf(to, "%d", (int)json_integer_value(json_object_get(port, "guest")));
	else
		str_adds(to, "screen");
}
