/* Every command, in the order in which help, completions and the manual list them. */
#include "cmd/cmd.h"

/* One line per command. */
/* clang-format off */
const struct cmd *const commands[] = {
	&cmd_run,
	&cmd_shell,
	&cmd_exec,
	&cmd_attach,
	&cmd_cp,
	&cmd_ls,
	&cmd_logs,
	&cmd_stop,
	&cmd_rm,
	&cmd_diff,
	&cmd_merge,
	&cmd_discard,
	&cmd_inspect,
	&cmd_ports,
	&cmd_allow,
	&cmd_deny,
	&cmd_why,
	&cmd_env,
	&cmd_secret_set,
	&cmd_secret_ls,
	&cmd_secret_rm,
	&cmd_slot_ls,
	&cmd_slot_rm,
	&cmd_slot_gc,
	&cmd_fork,
	&cmd_snapshot_create,
	&cmd_snapshot_ls,
	&cmd_snapshot_restore,
	&cmd_snapshot_rm,
	&cmd_doctor,
	&cmd_completion,
	&cmd_help,
	&cmd_version,
	&cmd_complete,
	&cmd_generate_man,
	NULL,
};
/* clang-format on */
