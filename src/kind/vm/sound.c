#include "kind/vm/sound.h"

#include "sys/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define HINT_PA "Debian and Ubuntu: apt-get install qemu-system-gui"
#define SOCKET "/vm/pulse"

/* QEMU would go on without sound. */
static bool answers(const char *path)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (fd < 0 || strlen(path) >= sizeof(to.sun_path))
		return false;
	memcpy(to.sun_path, path, strlen(path));
	return connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;
}

/* pulseaudio(1), "PULSE_SERVER": "unix:PATH" or "PATH"; what is not of this machine is no path. */
static char *find_socket(void)
{
	const char *server = getenv("PULSE_SERVER");
	const char *dir = getenv("XDG_RUNTIME_DIR");
	char *path = NULL;

	if (str_has(server))
		path = xstrdup(str_starts(server, "unix:") ? server + strlen("unix:") : server);
	else if (str_has(dir))
		path = xasprintf("%s/pulse/native", dir);
	if (path && *path == '/' && answers(path))
		return path;
	free(path);
	return NULL;
}

int sound_plan(const struct fittings_host *host, struct fittings *f, struct err **e)
{
	/* The codec first: the card looks for its driver once. */
	static const char *const modules[] = {"snd_hda_codec_generic", "snd_hda_intel"};
	static const char *const devices[] = {"snd/controlC0", "snd/pcmC0D0p", "snd/pcmC0D0c", "snd/timer"};
	_cleanup_free_ char *socket = find_socket();
	int r = fittings_check_qemu(host, "-audiodev", "pa", HINT_PA, e);

	if (r < 0)
		return r;
	if (!socket) {
		(void)err_set(e, EOPNOTSUPP,
			      "--audio: there is no PulseAudio here ($XDG_RUNTIME_DIR/pulse/native or PULSE_SERVER)");
		return err_hint(e, "with PipeWire: install and start pipewire-pulse");
	}
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
		fittings_want(f, modules[i]);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		fittings_device(f, devices[i]);
	fittings_file(f, socket, SOCKET);
	strv_add(&f->argv, "-audiodev");
	strv_add(&f->argv, "pa,id=sound,server=unix:" SOCKET);
	/* The card is PCI's. Without a mixer of its own it is not mute until somebody runs alsactl. */
	strv_split(&f->argv, "-device ich9-intel-hda -device hda-duplex,audiodev=sound,mixer=off", ' ');
	f->pci = true;
	f->run = true;
	if (!strv_env_get(&f->env, "HOME"))
		strv_add(&f->env, "HOME=/run");
	return 0;
}
