/* A flake's nixConfig can name binary caches and keys to trust. That is a request, like its output `igloo`: whoever
 * signs what is fetched decides what runs. Nix in boxes takes none of it (accept-flake-config, kind/common/rootfs.c).
 * What would give it to boxes is the user's own nix.conf, which the user's Nix on the host reads, too. */
#include "base/log.h"
#include "box/resolve_impl.h"
#include "nix/nixconf.h"

#include <string.h>

/* The file alone: nixConfig is a literal that no input has a part in, and works without any. */
static int ask(struct resolve *r, struct nixconf *ret)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_str_ struct str output = STR_INIT;
	int k;

	resolve_nix(&argv, "eval");
	strv_add(&argv, "--json");
	strv_add(&argv, "--file");
	strv_add(&argv, "./flake.nix");
	strv_add(&argv, "nixConfig");
	k = nixbox_run(&r->nix, argv.v, 0, NULL, &output, NULL);
	return k < 0 ? k : nixconf_read_flake(str_text(&output), output.len, ret, NULL);
}

/* "    name = those that the user does not have"; nothing where there are none. */
static void add_missing(struct str *to, const char *name, const struct strv *asked, const struct strv *have)
{
	size_t n = 0;

	for (size_t i = 0; i < asked->n; i++) {
		if (strv_has(have, asked->v[i]))
			continue;
		if (n++ == 0)
			str_addf(to, "\n    %s =", name);
		str_addc(to, ' ');
		str_add_printable(to, asked->v[i], strlen(asked->v[i]), false);
	}
}

void resolve_say_caches(struct resolve *r)
{
	_cleanup_nixconf_ struct nixconf asked = {.keys = STRV_INIT};
	_cleanup_nixconf_ struct nixconf have = {.keys = STRV_INIT};
	_cleanup_str_ struct str lines = STR_INIT;

	if (!resolve_flake_has(r, "nixConfig") || ask(r, &asked) < 0)
		return;
	nixconf_read(&have);
	add_missing(&lines, "extra-substituters", &asked.substituters, &have.substituters);
	add_missing(&lines, "extra-trusted-public-keys", &asked.keys, &have.keys);
	if (lines.len > 0)
		log_note("the flake asks for binary caches or their keys (its nixConfig), which are not used; if you "
			 "trust "
			 "them, add to your nix.conf:%s",
			 str_text(&lines));
}
