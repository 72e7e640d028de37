#include "kind/vm/arch.h"

#include "guest/image.h"
#include "kind/vm/machine.h"
#include "kind/vm/machinearm.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#ifdef __aarch64__
#define GUEST_X86_64 guest_image, &guest_none
#define GUEST_AARCH64 guest_image, &guest_image_size
static const size_t guest_none;
#else
#define GUEST_X86_64 guest_image, &guest_image_size
#define GUEST_AARCH64 guest_image_aarch64, &guest_image_aarch64_size
#endif

static const struct arch x86_64 = {
	"x86_64",
	"amd64",
	EM_X86_64,
	"qemu-x86_64",
	"QEMU for x86-64",
	"qemu-system-x86_64",
	"Debian and Ubuntu: apt-get install qemu-system-x86; Nix: nix profile install nixpkgs#qemu_kvm",
	"linux-image-amd64",
	"a bzImage or vmlinux for x86-64",
	"ttyS0",
	" reboot=t",
	machine_modules,
	MACHINE_MODULES,
	machine_add_x86,
	GUEST_X86_64,
};

static const struct arch aarch64 = {
	"aarch64",
	"arm64",
	EM_AARCH64,
	"qemu-aarch64",
	"QEMU for aarch64",
	"qemu-system-aarch64",
	"Debian and Ubuntu: apt-get install qemu-system-arm; Nix: nix profile install nixpkgs#qemu",
	"linux-image-arm64",
	"an Image for aarch64, plain or packed",
	"ttyAMA0",
	"",
	machinearm_modules,
	MACHINEARM_MODULES,
	machinearm_add,
	GUEST_AARCH64,
};

#ifdef __aarch64__
const struct arch *const archs[] = {&aarch64, &x86_64, NULL};
#else
const struct arch *const archs[] = {&x86_64, &aarch64, NULL};
#endif

int arch_find(const char *name, const struct arch **ret, struct err **e)
{
	_cleanup_str_ struct str names = STR_INIT;

	for (const struct arch *const *a = archs; *a; a++) {
		if (!name || strcmp((*a)->name, name) == 0 || strcmp((*a)->other, name) == 0) {
			*ret = *a;
			return 0;
		}
		str_addf(&names, "%s%s", names.len ? ", " : "", (*a)->name);
	}
	return err_set(e, EINVAL, "no machine of the architecture '%s' can be made: there are %s", name,
		       str_text(&names));
}

int arch_check_guest(const struct arch *a, struct err **e)
{
	if (*a->guest_size > 0)
		return 0;
	(void)err_set(e, ENOENT, "this igloo was built without its guest program for %s", a->name);
	return err_hint(
		e,
		"build igloo where a compiler for it is: gcc-%s-linux-gnu, linux-libc-dev-%s-cross and musl-dev:%s "
		"(docs/architectures.md)",
		a->name, a->other, a->other);
}
