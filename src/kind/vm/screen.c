#include "kind/vm/screen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCREEN_SOCKET "/run/screen"
#define X11_FOLDER "/tmp/.X11-unix"
#define HINT_GTK "Debian and Ubuntu: apt-get install qemu-system-gui; or --display vnc, which every QEMU has"

/* Of the user's session, as the variables of the caller name it. */
static bool add_wayland(struct fittings *f)
{
	const char *name = getenv("WAYLAND_DISPLAY");
	const char *dir = getenv("XDG_RUNTIME_DIR");
	_cleanup_free_ char *path = NULL;

	if (!str_has(name) || (*name != '/' && !str_has(dir)))
		return false;
	path = *name == '/' ? xstrdup(name) : xasprintf("%s/%s", dir, name);
	if (!fittings_is_socket(path))
		return false;
	fittings_file(f, path, "/vm/wayland");
	strv_add(&f->env, "WAYLAND_DISPLAY=/vm/wayland");
	strv_add(&f->env, "GDK_BACKEND=wayland");
	return true;
}

/* Of this machine only: the box's network has no way to another's. */
static bool add_x11(struct fittings *f)
{
	const char *name = getenv("DISPLAY");
	const char *cookies = getenv("XAUTHORITY");
	const char *home = getenv("HOME");
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *own = NULL;
	size_t n;

	if (!str_has(name) || *name != ':')
		return false;
	n = strspn(name + 1, "0123456789");
	path = xasprintf(X11_FOLDER "/X%.*s", (int)n, name + 1);
	if (n == 0 || n > 5 || !fittings_is_socket(path))
		return false;
	fittings_file(f, path, path);
	if (!str_has(cookies) && str_has(home)) {
		own = xasprintf("%s/.Xauthority", home);
		cookies = own;
	}
	if (str_has(cookies) && access(cookies, R_OK) == 0) {
		fittings_file(f, cookies, "/vm/xauthority");
		strv_add(&f->env, "XAUTHORITY=/vm/xauthority");
	}
	strv_addf(&f->env, "DISPLAY=:%.*s", (int)n, name + 1);
	strv_add(&f->env, "GDK_BACKEND=x11");
	return true;
}

static int plan_window(const struct fittings_host *host, struct fittings *f, struct err **e)
{
	int r = fittings_check_qemu(host, "-display", "gtk", HINT_GTK, e);

	if (r < 0)
		return r;
	if (!add_wayland(f) && !add_x11(f)) {
		(void)err_set(
			e, EOPNOTSUPP,
			"--display window: there is no Wayland (WAYLAND_DISPLAY) and no X11 (DISPLAY) of this machine "
			"here");
		return err_hint(e, "--display vnc needs neither");
	}
	f->display = "gtk,show-menubar=off";
	f->run = true;
	/* No bus of the user's, no settings, no folder but its own. */
	strv_split(&f->env, "HOME=/run XDG_RUNTIME_DIR=/run NO_AT_BRIDGE=1 GSETTINGS_BACKEND=memory GTK_USE_PORTAL=0",
		   ' ');
	if (access("/etc/fonts", R_OK) == 0)
		fittings_file(f, "/etc/fonts", "/etc/fonts");
	return 0;
}

int screen_plan(const struct display *d, const struct fittings_host *host, struct fittings *f, struct err **e)
{
	fittings_want(f, "virtio_gpu");
	fittings_want(f, "virtio_input");
	fittings_want(f, "evdev");
	fittings_device(f, "fb0");
	fittings_device(f, "dri/*");
	fittings_device(f, "input/*");
	fittings_virtio(f, host, "virtio-gpu", "");
	fittings_virtio(f, host, "virtio-keyboard", "");
	fittings_virtio(f, host, "virtio-tablet", "");
	if (d->how == DISPLAY_WINDOW)
		return plan_window(host, f, e);
	strv_add(&f->argv, "-vnc");
	strv_add(&f->argv, "unix:" SCREEN_SOCKET);
	f->screen = SCREEN_SOCKET;
	f->run = true;
	return 0;
}
