#include "box/protectname.h"

#include "base/mem.h"
#include "box/protectrules.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Whether `path` is `name` or lies below it. */
static bool is_below(const char *path, const char *name)
{
	size_t n = strlen(name);

	return strncasecmp(path, name, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static const char *find(const char *below, bool git)
{
	for (size_t i = 0; i < ARRAY_SIZE(protect_rules); i++)
		if ((protect_rules[i].base != RULE_WORKSPACE) == git && is_below(below, protect_rules[i].path))
			return protect_rules[i].name;
	return NULL;
}

static bool has(const char *path, size_t folder, const char *name)
{
	_cleanup_free_ char *full = xasprintf("%.*s/%s", (int)folder, path, name);
	struct stat st;

	return lstat(full, &st) == 0;
}

const char *protectname_rule(const char *path, bool folder)
{
	for (const char *p = path; (p = strchr(p, '/')); p++) {
		const char *name = p + 1;
		const char *rule;

		if (is_below(name, ".git")) {
			if (name[4] == '\0')
				return folder ? NULL : "git-config";
			rule = find(name + 5, true);
			if (rule)
				return rule;
		}
		rule = find(name, false);
		if (rule && (has(path, (size_t)(p - path), ".git") || has(path, (size_t)(p - path), "flake.nix")))
			return rule;
	}
	return NULL;
}
