/* The rules of box/protect.h as a table: what the user's own tools run, source or obey because it lies in a
 * folder, without being asked to run the project's code. What runs on request (make, npm test, a script) is the
 * user's to look at first; that is what the diff is for. */
#ifndef IGLOO_BOX_PROTECTRULES_H
#define IGLOO_BOX_PROTECTRULES_H

enum rule_base {
	RULE_WORKSPACE, /* the repository's top, and the flake's folder when that is another */
	RULE_GIT,       /* the work tree's git folder */
	RULE_COMMON,    /* the main repository's git folder; RULE_GIT's unless a linked worktree */
};

enum rule_flags {
	RULE_HOLD = 1 << 0,      /* what is not there must not be made: a placeholder holds the name */
	RULE_GROUP = 1 << 1,     /* held only if another name of the rule is there */
	RULE_FILE = 1 << 2,      /* the placeholder is an empty file, where git insists on one */
	RULE_COMMONDIR = 1 << 3, /* the placeholder is a file that names its own folder: the same as no file */
	RULE_LINKS = 1 << 4,     /* a folder: what links in it lead to stays as it is, too */
};

struct rule {
	const char *name; /* for --unprotect */
	enum rule_base base;
	const char *path;
	unsigned flags;
};

static const struct rule protect_rules[] = {
	/* core.fsmonitor, core.pager, core.sshCommand, filters, aliases: any git command runs them. */
	{"git-config", RULE_COMMON, "config", RULE_HOLD | RULE_FILE},
	{"git-config", RULE_GIT, "config.worktree", RULE_HOLD | RULE_FILE},
	/* Says where the configuration is read from. */
	{"git-config", RULE_GIT, "commondir", RULE_HOLD | RULE_COMMONDIR},
	{"git-hooks", RULE_COMMON, "hooks", RULE_HOLD | RULE_LINKS},
	/* husky's hooks, named by a core.hooksPath below it. */
	{"git-hooks", RULE_WORKSPACE, ".husky", RULE_LINKS},
	/* What hooks that the user has installed run at the next commit. */
	{"git-hooks", RULE_WORKSPACE, ".pre-commit-config.yaml", 0},
	{"git-hooks", RULE_WORKSPACE, ".pre-commit-config.yml", 0},
	{"git-hooks", RULE_WORKSPACE, "lefthook.yml", 0},
	{"git-hooks", RULE_WORKSPACE, ".lefthook.yml", 0},
	{"git-hooks", RULE_WORKSPACE, ".overcommit.yml", 0},
	/* Submodules' git folders: `git status` at the top runs git in each. */
	{"git-modules", RULE_COMMON, "modules", RULE_HOLD},
	/* Sourced at `cd`. direnv asks before a new .envrc, but not before what an allowed one sources: nix-direnv's
	 * cached profile in .direnv, devenv's, .envrc.local. */
	{"envrc", RULE_WORKSPACE, ".envrc", RULE_HOLD},
	{"envrc", RULE_WORKSPACE, ".direnv", RULE_HOLD},
	{"envrc", RULE_WORKSPACE, ".envrc.local", RULE_HOLD | RULE_GROUP},
	{"envrc", RULE_WORKSPACE, ".envrc.private", RULE_HOLD | RULE_GROUP},
	{"envrc", RULE_WORKSPACE, ".devenv", 0},
	/* mise trusts the folder, not the text; hooks and environment take effect at `cd`. */
	{"mise", RULE_WORKSPACE, "mise.toml", RULE_HOLD | RULE_GROUP},
	{"mise", RULE_WORKSPACE, ".mise.toml", RULE_HOLD | RULE_GROUP},
	{"mise", RULE_WORKSPACE, "mise.local.toml", RULE_HOLD | RULE_GROUP},
	{"mise", RULE_WORKSPACE, ".mise.local.toml", RULE_HOLD | RULE_GROUP},
	{"mise", RULE_WORKSPACE, "mise", 0},
	{"mise", RULE_WORKSPACE, ".mise", 0},
	/* Tasks at opening a folder, paths of language servers and interpreters. */
	{"editor", RULE_WORKSPACE, ".vscode", RULE_HOLD},
	{"editor", RULE_WORKSPACE, ".idea", RULE_HOLD},
	{"editor", RULE_WORKSPACE, ".zed", RULE_HOLD},
	{"editor", RULE_WORKSPACE, ".exrc", RULE_HOLD},
	{"editor", RULE_WORKSPACE, ".nvimrc", RULE_HOLD},
	{"editor", RULE_WORKSPACE, ".nvim.lua", RULE_HOLD},
	{"editor", RULE_WORKSPACE, ".vimrc", 0},
	{"editor", RULE_WORKSPACE, ".lvimrc", 0},
	{"editor", RULE_WORKSPACE, ".dir-locals.el", RULE_HOLD},
	{"editor", RULE_WORKSPACE, ".dir-locals-2.el", RULE_HOLD | RULE_GROUP},
	{"editor", RULE_WORKSPACE, ".helix", 0},
	{"editor", RULE_WORKSPACE, ".fleet", 0},
	{"editor", RULE_WORKSPACE, ".devcontainer", RULE_HOLD},
	{"editor", RULE_WORKSPACE, ".devcontainer.json", 0},
	/* Hooks and servers that an agent on the host starts by itself. */
	{"agent", RULE_WORKSPACE, ".claude", RULE_HOLD},
	{"agent", RULE_WORKSPACE, ".cursor", RULE_HOLD},
	{"agent", RULE_WORKSPACE, ".codex", 0},
	{"agent", RULE_WORKSPACE, ".gemini", 0},
	{"agent", RULE_WORKSPACE, ".opencode", 0},
	{"agent", RULE_WORKSPACE, ".mcp.json", 0},
	{"agent", RULE_WORKSPACE, "opencode.json", 0},
	/* Runs elsewhere, with that place's secrets, after a push. A new file shows in `git status`. */
	{"ci", RULE_WORKSPACE, ".github/workflows", 0},
	{"ci", RULE_WORKSPACE, ".github/actions", 0},
	{"ci", RULE_WORKSPACE, ".forgejo/workflows", 0},
	{"ci", RULE_WORKSPACE, ".gitea/workflows", 0},
	{"ci", RULE_WORKSPACE, ".gitlab-ci.yml", 0},
	{"ci", RULE_WORKSPACE, ".circleci", 0},
	{"ci", RULE_WORKSPACE, ".buildkite", 0},
	{"ci", RULE_WORKSPACE, "Jenkinsfile", 0},
	{"ci", RULE_WORKSPACE, "azure-pipelines.yml", 0},
};

#endif
