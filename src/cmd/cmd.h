/* The tables that the command line is made of.
 *
 * A command is one `const struct cmd` in a file of its own and one line in commands.c. Parsing,
 * --help, the completions and igloo(1) are all made from these tables, so none of them can disagree
 * with another. Everything in a table is static and const; nothing is computed at start.
 *
 * Text in tables is plain ASCII: no markup, no escapes. Help of an option is one phrase without a
 * full stop; `about` is paragraphs separated by an empty line ("\n\n"), each sentence with its full
 * stop; line breaks are the renderer's business. */
#ifndef IGLOO_CMD_CMD_H
#define IGLOO_CMD_CMD_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* What an option's argument is, and so what it is stored as at its offset. Of a single-valued option
 * given twice the last one counts, as users of docker expect; lists collect. Strings point into
 * argv or the environment and live as long as the process; struct strv is freed with the
 * invocation. */
enum opt_kind {
	OPT_FLAG,     /* bool; no argument */
	OPT_COUNTER,  /* int, one more each time; no argument */
	OPT_TEXT,     /* const char * */
	OPT_CHOICE,   /* const char *, one of .choices */
	OPT_NAME,     /* const char *, a valid name (base/name.h) */
	OPT_PATH,     /* const char *, not empty; relative to the folder igloo was called in */
	OPT_SIZE,     /* uint64_t bytes from .min to .max; 0 is "not given" */
	OPT_CPUS,     /* uint64_t thousandths of a processor; 0 is "not given" */
	OPT_COUNT,    /* uint64_t from .min to .max */
	OPT_DURATION, /* uint64_t milliseconds; 0 is "not given" */
	OPT_LIST,     /* struct strv */
	OPT_PATHS,    /* struct strv of paths that are not empty */
	OPT_VARS,     /* struct strv of NAME or NAME=VALUE */
	OPT_KINDS,    /* how many there are */
};

/* What a shell offers for an argument. Choices are offered whatever the hint. */
enum hint {
	HINT_NONE,
	HINT_FILES,
	HINT_DIRS,
	HINT_VARS,  /* names of environment variables */
	HINT_VERBS, /* igloo's commands */
	HINT_BOXES, /* from here on: `igloo __complete WHAT`, see hint_names in complete.c */
	HINT_SLOTS,
	HINT_SHELLS,
	HINT_SECRETS,
	HINT_SNAPSHOTS,
	HINTS, /* how many there are */
};

struct opt {
	const char *name; /* the long option without "--"; NULL ends the table */
	char letter;      /* or 0 */
	const char *arg;  /* how help names the argument; NULL if there is none */
	enum opt_kind kind;
	enum hint hint;
	size_t offset; /* of the value in the struct the table belongs to */
	const char *help;
	const char *const *choices; /* NULL-terminated, or NULL */
	const char *env;            /* variable that stands in when the option is not given, or NULL */
	const char *clashes;        /* long names that exclude this one, separated by blanks, or NULL */
	uint64_t min;
	uint64_t max;
};

/* One table of options as a command refers to it: several commands may share the table. */
struct opt_group {
	const char *title; /* heading in help; NULL ends the list of groups */
	const struct opt *opts;
	size_t offset; /* of the table's struct within the command's options struct */
};

/* No command has more options than this, igloo's own included (the unit test checks). */
#define OPTIONS_MAX 64

struct example {
	const char *command; /* NULL ends the list */
	const char *what;
};

struct invocation;

struct cmd {
	const char *name; /* "run", or "slot ls": a word of a family and its verb */
	const char *args; /* usage of what follows the options, "" for nothing */
	const char *summary;
	const char *about;              /* or NULL */
	const struct example *examples; /* or NULL */
	const struct opt_group *groups; /* or NULL */
	size_t options_size;            /* of the struct that inv->options points to */
	int min_args;
	int max_args;                   /* -1: any number */
	enum hint arg_hint;             /* of the first argument */
	enum hint more_hint;            /* of those behind it */
	const char *const *arg_choices; /* for the first argument, or NULL */
	/* What follows the first `command_at` arguments is a command with options of its own, which are
	 * left alone: `igloo run ls -l` (0), `igloo exec BOX ls -l` (1). "--" may stand in front of it.
	 * Otherwise options may stand anywhere before "--". */
	bool takes_command;
	int command_at;
	bool hidden; /* not in help, completion, manual */
	/* Returns 0 after setting inv->exit_code if that is not 0, or -errno with *e set; main()
	 * prints the error and exits with err_exit(). */
	int (*run)(struct invocation *inv, struct err **e);
};

/* igloo's own options: before or after the verb. */
struct global_options {
	int verbose;
	bool quiet;
	bool json;
	bool help;
	bool version;
};

extern const struct opt global_opts[];

/* One call of a command: zeroed, filled by options_parse(), emptied by options_release(). */
struct invocation {
	const struct cmd *cmd;
	struct global_options global;
	void *options; /* the command's struct (zeroed, then filled), NULL if it has none */
	int argc;
	char **argv;       /* the arguments behind the options, NULL-terminated; the strings are main()'s */
	bool no_variables; /* in, for options_parse(): no variable of the environment stands in for an option */
	uint64_t given;    /* bit n: option n (global_opts, then the groups in order) was on the line */
	int exit_code;     /* for main(), when run() returns 0 */
};

/* commands.c: every command in the order help lists them, NULL at the end. */
extern const struct cmd *const commands[];

/* find.c: the command that argv[0] (and argv[1] for a family) names; *ret_words is how many words
 * that took. -ENOENT with the nearest name as a hint. */
int cmd_find(int argc, char *const *argv, const struct cmd **ret, int *ret_words, struct err **e);
/* How many words `name` needs to be a command: 1, 2 for a family ("slot"), 0 if it is neither. */
int cmd_words(const char *name);
/* The nearest of `names` to what was typed, or NULL when none is near enough to suggest. */
const char *cmd_nearest(const char *typed, const char *const *names, size_t n);

/* help.c */
void help_add_overall(struct str *s);
/* Help of the family `name`: its verbs. */
void help_add_family(struct str *s, const char *name);
void help_add_command(struct str *s, const struct cmd *cmd);
/* "igloo run [options] [--] COMMAND...". */
void help_add_usage(struct str *s, const struct cmd *cmd);

/* names.c: adds the names of "boxes", "slots", "snapshots", "secrets" or "shells" that exist, sorted. What cannot be
 * read has no names; -EINVAL for any other word. */
int complete_names(const char *what, struct strv *names);

/* version.c */
extern const char igloo_version[];

/* One per command, in the file that is named after it. */
extern const struct cmd cmd_attach;
extern const struct cmd cmd_autostart;
extern const struct cmd cmd_complete;
extern const struct cmd cmd_completion;
extern const struct cmd cmd_cp;
extern const struct cmd cmd_create;
extern const struct cmd cmd_diff;
extern const struct cmd cmd_discard;
extern const struct cmd cmd_allow;
extern const struct cmd cmd_deny;
extern const struct cmd cmd_why;
extern const struct cmd cmd_merge;
extern const struct cmd cmd_doctor;
extern const struct cmd cmd_env;
extern const struct cmd cmd_exec;
extern const struct cmd cmd_fork;
extern const struct cmd cmd_generate_man;
extern const struct cmd cmd_help;
extern const struct cmd cmd_inspect;
extern const struct cmd cmd_logs;
extern const struct cmd cmd_ls;
extern const struct cmd cmd_ports;
extern const struct cmd cmd_rm;
extern const struct cmd cmd_run;
extern const struct cmd cmd_secret_ls;
extern const struct cmd cmd_secret_rm;
extern const struct cmd cmd_secret_set;
extern const struct cmd cmd_shell;
extern const struct cmd cmd_slot_gc;
extern const struct cmd cmd_slot_ls;
extern const struct cmd cmd_slot_rm;
extern const struct cmd cmd_snapshot_create;
extern const struct cmd cmd_snapshot_ls;
extern const struct cmd cmd_snapshot_restore;
extern const struct cmd cmd_snapshot_rm;
extern const struct cmd cmd_start;
extern const struct cmd cmd_stop;
extern const struct cmd cmd_version;

#endif
