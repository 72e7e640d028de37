#include "guest/vmlate.h"

#include "base/str.h"
#include "sys/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BUS "/sys/bus/virtio/"

static void tell_bus(const char *file, const char *word)
{
	_cleanup_close_ int fd = open(file, O_WRONLY | O_CLOEXEC);

	/* No such bus: nothing is on it. */
	if (fd >= 0)
		(void)!write(fd, word, strlen(word));
}

/* "NN-name.ko" */
static bool is_late(const char *module)
{
	return str_ends(module, "-virtio_blk.ko") || str_ends(module, "-virtio_net.ko");
}

void vmlate_before(const char *module)
{
	static bool held;

	if (is_late(module) == held)
		return;
	held = !held;
	tell_bus(BUS "drivers_autoprobe", held ? "0" : "1");
}

void vmlate_probe(void)
{
	DIR *d = opendir(BUS "devices");
	const struct dirent *ent;

	tell_bus(BUS "drivers_autoprobe", "1");
	/* Those that have a driver are left as they are. */
	while (d && (ent = readdir(d)))
		if (ent->d_name[0] != '.')
			tell_bus(BUS "drivers_probe", ent->d_name);
	if (d)
		(void)closedir(d);
}
