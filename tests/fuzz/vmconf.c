/* The configuration of a machine (guest/vmconf.h): igloo writes it, and PID 1 of the machine is nothing to crash. */
#include "fuzz.h"

#include "base/mem.h"
#include "guest/vmconf.h"

#include <string.h>

static size_t look(const char *text)
{
	return text ? strlen(text) : 0;
}

static size_t look_at_mount(const struct vmconf_mount *m)
{
	return look(m->type) + look(m->source) + look(m->target) + look(m->options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xmalloc(size + 1);
	struct vmconf c = {.n_mounts = 0};
	const char *line = NULL;
	size_t n = 0;

	memcpy(text, data, size);
	text[size] = '\0';
	if (vmconf_parse(text, &c, &line) < 0) {
		/* It is shown. */
		if (!line || line < text || line > text + size || strlen(line) > size)
			abort();
		return 0;
	}
	n = look_at_mount(&c.root) + look(c.hostname) + look(c.port) + look(c.dns);
	for (size_t i = 0; i < c.n_mounts; i++) {
		if (!c.mounts[i].type || !*c.mounts[i].type || !*c.mounts[i].source || *c.mounts[i].target != '/' ||
		    !*c.mounts[i].options)
			abort();
		n += look_at_mount(&c.mounts[i]);
	}
	for (size_t i = 0; i < c.n_devices; i++)
		n += look(c.devices[i]);
	/* Pieces of the text, each once (the port has a name of its own without one). */
	if (n > size + 64 || c.n_mounts > VMCONF_MOUNTS_MAX || c.n_devices > VMCONF_DEVICES_MAX || c.bits > 32 ||
	    c.clock < 0 || c.pids < 0 || c.pids > INT32_MAX)
		abort();
	return 0;
}

FUZZ_MAIN()
