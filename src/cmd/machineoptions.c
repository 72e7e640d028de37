#include "cmd/machineoptions.h"

#include <errno.h>

#define AT(member) offsetof(struct box_options, member)

const struct opt box_machine_opts[] = {
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
	{.name = NULL},
};

int machineoptions_refuse(const struct box_options *o, const char *kind, struct err **e)
{
	const char *given = o->nested ? "--nested" : NULL;

	return given ? err_set(e, EINVAL, "%s is for --in vm, not for a %s", given, kind) : 0;
}

void machineoptions_fill(const struct box_options *o, struct box_machine *to)
{
	to->nested = o->nested;
}
