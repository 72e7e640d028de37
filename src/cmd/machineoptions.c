#include "cmd/machineoptions.h"

#include "base/log.h"
#include "box/display.h"
#include "box/slotdisk.h"
#include "cmd/sizes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define AT(member) offsetof(struct box_options, member)

static const char *const arch_names[] = {"x86_64", "aarch64", "amd64", "arm64", NULL};
static const char *const start_names[] = {"auto", "cold", "warm", NULL};
static const char *const fs_names[] = {"auto", "virtiofs", "9p", NULL};

const struct opt box_machine_opts[] = {
	{.name = "arch",
	 .arg = "ARCH",
	 .kind = OPT_CHOICE,
	 .offset = AT(arch),
	 .help = "of a vm: its architecture, and its environment's; another than this machine's is emulated",
	 .choices = arch_names},
	{.name = "display",
	 .arg = "WHERE",
	 .kind = OPT_TEXT,
	 .offset = AT(display),
	 .help = "of a vm: give it a screen, keyboard and tablet: window (on your Wayland or X11), vnc or vnc:PORT (on "
		 "127.0.0.1, for your own programs)"},
	{.name = "audio",
	 .kind = OPT_FLAG,
	 .offset = AT(audio),
	 .help = "of a vm: give it a sound card, which your PulseAudio or PipeWire plays and records"},
	{.name = "nested",
	 .kind = OPT_FLAG,
	 .offset = AT(nested),
	 .help = "of a vm: let it have machines of its own: /dev/kvm is there for the command"},
	{.name = "guest",
	 .arg = "GUEST",
	 .kind = OPT_TEXT,
	 .offset = AT(guest),
	 .help = "of a vm: what it has in it: minimal (igloo's own, the default), or nixos or nixos=NAME, the flake's "
		 "nixosConfigurations.NAME"},
	{.name = "built",
	 .kind = OPT_FLAG,
	 .offset = AT(built),
	 .help = "of --guest nixos: start the system that the flake builds, not what a rebuild in the machine left"},
	{.name = "fs",
	 .arg = "HOW",
	 .kind = OPT_CHOICE,
	 .offset = AT(fs),
	 .help = "of a vm: how it has the box's files",
	 .choices = fs_names,
	 .env = "IGLOO_VM_FS"},
	{.name = "start",
	 .arg = "HOW",
	 .kind = OPT_CHOICE,
	 .offset = AT(start),
	 .help = "of a vm: go on from the memory of one that has booted, where there is one (auto); boot, and keep "
		 "none "
		 "(cold); make one first (warm)",
	 .choices = start_names},
	{.name = "disk",
	 .arg = "SIZE",
	 .kind = OPT_SIZE,
	 .offset = AT(disk),
	 .help = "of a vm: the size of its slot's disk, 20G unless it has one; it can grow, not shrink, and takes what "
		 "is used of it",
	 .min = SLOTDISK_MIN,
	 .max = SLOTDISK_MAX},
	{.name = "overlay",
	 .kind = OPT_FLAG,
	 .offset = AT(overlay),
	 .help = "of a vm: keep what it writes to its store and home in its memory, and nothing of it afterwards: no "
		 "disk",
	 .clashes = "disk"},
	{.name = "store-image",
	 .kind = OPT_FLAG,
	 .offset = AT(store_image),
	 .help = "of a vm: its environment's store paths come as one image (erofs), made once: quicker to read than "
		 "file by "
		 "file"},
	{.name = NULL},
};

const char *machineoptions_arch(const struct box_options *o)
{
	static const char *const names[][2] = {{"amd64", "x86_64"}, {"arm64", "aarch64"}};
	struct utsname host;
	const char *arch = o->arch;

	for (size_t i = 0; arch && i < ARRAY_SIZE(names); i++)
		if (strcmp(arch, names[i][0]) == 0)
			arch = names[i][1];
	return arch && uname(&host) == 0 && strcmp(arch, host.machine) == 0 ? NULL : arch;
}

char *machineoptions_platform(const struct box_options *o)
{
	const char *arch = machineoptions_arch(o);

	return arch ? xasprintf("%s-linux", arch) : NULL;
}

/* A variable is for machines, whatever else is started. */
static bool is_given(const char *value, const char *variable)
{
	const char *of_environment = getenv(variable);

	return value && (!of_environment || strcmp(value, of_environment) != 0);
}

int machineoptions_refuse(const struct box_options *o, const char *kind, struct err **e)
{
	const char *given = o->nested                        ? "--nested"
			    : machineoptions_arch(o)         ? "--arch"
			    : o->display                     ? "--display"
			    : o->audio                       ? "--audio"
			    : is_given(o->fs, "IGLOO_VM_FS") ? "--fs"
			    : o->start                       ? "--start"
			    : o->disk                        ? "--disk"
			    : o->overlay                     ? "--overlay"
			    : o->store_image                 ? "--store-image"
							     : NULL;

	return given ? err_set(e, EINVAL, "%s is for --in vm, not for a %s", given, kind) : 0;
}

int machineoptions_check(const struct box_options *o, struct err **e)
{
	struct display display;

	if (o->guest && strcmp(o->guest, "nixos") == 0 && machineoptions_arch(o))
		return err_set(e, ENOTSUP, "--guest nixos: a system of its own is of this machine's architecture only");
	return display_parse(o->display, &display, e);
}

int machineoptions_check_sizes(const struct box_options *o, const struct box_limits *limits, const struct slot *slot,
			       struct err **e)
{
	const struct sizes asked = {.memory = limits->memory, .cpu_milli = limits->cpu_milli, .disk = o->disk};
	_cleanup_strv_ struct strv notes = STRV_INIT;
	struct sizes host;
	int r = 0;

	sizes_of_host(NULL, &host);
	if (o->disk)
		r = slotdisk_check_room(slot, o->disk, &host.disk, e);
	if (r < 0)
		return r;
	sizes_add_notes(&asked, &host, &notes);
	for (size_t i = 0; i < notes.n; i++)
		log_note("%s", notes.v[i]);
	return 0;
}

void machineoptions_fill(const struct box_options *o, struct box_machine *to)
{
	const char *arch = machineoptions_arch(o);

	to->arch = arch ? xstrdup(arch) : NULL;
	to->display = o->display ? xstrdup(o->display) : NULL;
	to->audio = o->audio;
	to->nested = o->nested;
	to->fs = o->fs ? xstrdup(o->fs) : NULL;
	to->start = o->start ? xstrdup(o->start) : NULL;
	to->disk = o->disk;
	to->overlay = o->overlay;
	to->store_image = o->store_image;
}
