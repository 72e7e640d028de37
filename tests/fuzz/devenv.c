#include "fuzz.h"

#include "nix/devscript.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct devenv_options o = {.outputs_dir = "/w/outputs", .attrs_dir = "/run/igloo", .env_path = "/nix/store/x"};
	_cleanup_devenv_ struct devenv env = {0};
	_cleanup_str_ struct str s = STR_INIT;

	if (devenv_parse((const char *)data, size, &o, &env, NULL) < 0)
		return 0;
	devscript_add(&s, &env);
	if (strlen(s.p) != s.len || !str_ends(s.p, "__igloo_sourced=1\n"))
		abort();
	for (size_t i = 0; i < env.env.n; i++)
		if (!strchr(env.env.v[i], '=') || strv_env_get(&env.env, "HOME"))
			abort();
	if (env.needs_bash && !env.bash)
		abort();
	return 0;
}

FUZZ_MAIN()
