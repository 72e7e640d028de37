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
	const char *path;
	enum rule_base base;
	unsigned flags;
};

static const struct rule protect_rules[] = {
	/* core.fsmonitor, core.pager, core.sshCommand, filters, aliases: any git command runs them. */
	{"git-config", "config", RULE_COMMON, RULE_HOLD | RULE_FILE},
	{"git-config", "config.worktree", RULE_GIT, RULE_HOLD | RULE_FILE},
	/* Says where the configuration is read from. */
	{"git-config", "commondir", RULE_GIT, RULE_HOLD | RULE_COMMONDIR},
	{"git-hooks", "hooks", RULE_COMMON, RULE_HOLD | RULE_LINKS},
	/* husky's hooks, named by a core.hooksPath below it. */
	{"git-hooks", ".husky", RULE_WORKSPACE, RULE_LINKS},
	/* What hooks that the user has installed run at the next commit. */
	{"git-hooks", ".pre-commit-config.yaml", RULE_WORKSPACE, 0},
	{"git-hooks", ".pre-commit-config.yml", RULE_WORKSPACE, 0},
	{"git-hooks", "lefthook.yml", RULE_WORKSPACE, 0},
	{"git-hooks", ".lefthook.yml", RULE_WORKSPACE, 0},
	{"git-hooks", ".overcommit.yml", RULE_WORKSPACE, 0},
	/* Submodules' git folders: `git status` at the top runs git in each. */
	{"git-modules", "modules", RULE_COMMON, RULE_HOLD},
	/* Sourced at `cd`. direnv asks before a new .envrc, but not before what an allowed one sources: nix-direnv's
	 * cached profile in .direnv, devenv's, .envrc.local. */
	{"envrc", ".envrc", RULE_WORKSPACE, RULE_HOLD},
	{"envrc", ".direnv", RULE_WORKSPACE, RULE_HOLD},
	{"envrc", ".envrc.local", RULE_WORKSPACE, RULE_HOLD | RULE_GROUP},
	{"envrc", ".envrc.private", RULE_WORKSPACE, RULE_HOLD | RULE_GROUP},
	{"envrc", ".devenv", RULE_WORKSPACE, 0},
	/* mise trusts the folder, not the text; hooks and environment take effect at `cd`. */
	{"mise", "mise.toml", RULE_WORKSPACE, RULE_HOLD | RULE_GROUP},
	{"mise", ".mise.toml", RULE_WORKSPACE, RULE_HOLD | RULE_GROUP},
	{"mise", "mise.local.toml", RULE_WORKSPACE, RULE_HOLD | RULE_GROUP},
	{"mise", ".mise.local.toml", RULE_WORKSPACE, RULE_HOLD | RULE_GROUP},
	{"mise", "mise", RULE_WORKSPACE, 0},
	{"mise", ".mise", RULE_WORKSPACE, 0},
	/* Tasks at opening a folder, paths of language servers and interpreters. */
	{"editor", ".vscode", RULE_WORKSPACE, RULE_HOLD},
	{"editor", ".idea", RULE_WORKSPACE, RULE_HOLD},
	{"editor", ".zed", RULE_WORKSPACE, RULE_HOLD},
	{"editor", ".exrc", RULE_WORKSPACE, RULE_HOLD},
	{"editor", ".nvimrc", RULE_WORKSPACE, RULE_HOLD},
	{"editor", ".nvim.lua", RULE_WORKSPACE, RULE_HOLD},
	{"editor", ".vimrc", RULE_WORKSPACE, 0},
	{"editor", ".lvimrc", RULE_WORKSPACE, 0},
	{"editor", ".dir-locals.el", RULE_WORKSPACE, RULE_HOLD},
	{"editor", ".dir-locals-2.el", RULE_WORKSPACE, RULE_HOLD | RULE_GROUP},
	{"editor", ".helix", RULE_WORKSPACE, 0},
	{"editor", ".fleet", RULE_WORKSPACE, 0},
	{"editor", ".devcontainer", RULE_WORKSPACE, RULE_HOLD},
	{"editor", ".devcontainer.json", RULE_WORKSPACE, 0},
	/* Hooks and servers that an agent on the host starts by itself. */
	{"agent", ".claude", RULE_WORKSPACE, RULE_HOLD},
	{"agent", ".cursor", RULE_WORKSPACE, RULE_HOLD},
	{"agent", ".codex", RULE_WORKSPACE, 0},
	{"agent", ".gemini", RULE_WORKSPACE, 0},
	{"agent", ".opencode", RULE_WORKSPACE, 0},
	{"agent", ".mcp.json", RULE_WORKSPACE, 0},
	{"agent", "opencode.json", RULE_WORKSPACE, 0},
	/* Runs elsewhere, with that place's secrets, after a push. A new file shows in `git status`. */
	{"ci", ".github/workflows", RULE_WORKSPACE, 0},
	{"ci", ".github/actions", RULE_WORKSPACE, 0},
	{"ci", ".forgejo/workflows", RULE_WORKSPACE, 0},
	{"ci", ".gitea/workflows", RULE_WORKSPACE, 0},
	{"ci", ".gitlab-ci.yml", RULE_WORKSPACE, 0},
	{"ci", ".circleci", RULE_WORKSPACE, 0},
	{"ci", ".buildkite", RULE_WORKSPACE, 0},
	{"ci", "Jenkinsfile", RULE_WORKSPACE, 0},
	{"ci", "azure-pipelines.yml", RULE_WORKSPACE, 0},
};

#endif
