#include "test.h"

#include "nix/devenv.h"
#include "nix/devscript.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What Nix 2.8.0 printed for a derivation whose setup made functions, an array and a table; HOOK stands for the
 * member shellHook. */
#define SAMPLE(hook)                                                                                                \
	"{\"bashFunctions\":{\"buildPhase\":\" \\n    echo \\\"from function $1\\\";\\n    return 7\\n\","          \
	"\"foo-bar\":\" \\n    case \\\"$1\\\" in \\n        a)\\n            echo A\\n        ;;\\n    esac\\n\"," \
	"\"greet\":\" \\n    echo \\\"hi $1\\\";\\n    cat <<X\\nhere $1\\nX\\n\\n\"},"                             \
	"\"variables\":{\"BASH\":{\"type\":\"var\",\"value\":\"/bin/bash\"},"                                       \
	"\"COMP_WORDBREAKS\":{\"type\":\"var\",\"value\":\" \\t\\n\\\"'@><=;|&(:\"},"                               \
	"\"EMPTYV\":{\"type\":\"exported\",\"value\":\"\"},"                                                        \
	"\"EPOCHREALTIME\":{\"type\":\"var\",\"value\":\"1795259915.304568\"},"                                     \
	"\"EPOCHSECONDS\":{\"type\":\"var\",\"value\":\"1795259915\"},"                                             \
	"\"HOME\":{\"type\":\"exported\",\"value\":\"/homeless-shelter\"},"                                         \
	"\"HOSTTYPE\":{\"type\":\"var\",\"value\":\"x86_64\"},\"IFS\":{\"type\":\"var\",\"value\":\" \\t\\n\"},"    \
	"\"IN_NIX_SHELL\":{\"type\":\"exported\",\"value\":\"impure\"},"                                            \
	"\"LINENO\":{\"type\":\"var\",\"value\":\"73\"},"                                                           \
	"\"NIX_BUILD_TOP\":{\"type\":\"exported\",\"value\":\"/tmp/nix-build-X-env.drv-0\"},"                       \
	"\"NIX_ENFORCE_PURITY\":{\"type\":\"exported\",\"value\":\"1\"},"                                           \
	"\"NIX_LOG_FD\":{\"type\":\"exported\",\"value\":\"2\"},"                                                   \
	"\"NIX_STORE\":{\"type\":\"exported\",\"value\":\"/nix/store\"},"                                           \
	"\"OLDPWD\":{\"type\":\"exported\",\"value\":\"\"},\"OPTERR\":{\"type\":\"var\",\"value\":\"1\"},"          \
	"\"PATH\":{\"type\":\"exported\",\"value\":\"/usr/bin:/bin\"},\"PS4\":{\"type\":\"var\",\"value\":\"+ \"}," \
	"\"SHELL\":{\"type\":\"var\",\"value\":\"/bin/bash\"},"                                                     \
	"\"SPACES\":{\"type\":\"exported\",\"value\":\"a  b\\n'q' \\\"d\\\" ! $x\"},"                               \
	"\"TERM\":{\"type\":\"exported\",\"value\":\"xterm-256color\"},"                                            \
	"\"TMPDIR\":{\"type\":\"exported\",\"value\":\"/tmp/nix-build-X-env.drv-0\"},"                              \
	"\"arr\":{\"type\":\"array\",\"value\":[\"a b\",\"x\\ny\",\"it's\",\"!\",\"\",\"$(echo no)\"]},"            \
	"\"buildPhase\":{\"type\":\"exported\",\"value\":\"echo from variable\"},"                                  \
	"\"name\":{\"type\":\"exported\",\"value\":\"X\"},"                                                         \
	"\"out\":{\"type\":\"exported\",\"value\":\"/nix/store/ppxj8dhwx4100iq8z6jrl4qbh7njmmq0-X-env\"},"          \
	"\"outputs\":{\"type\":\"exported\",\"value\":\"out\"},"                                                    \
	"\"plain\":{\"type\":\"var\",\"value\":\"unexported\"}," hook                                               \
	"\"tab\":{\"type\":\"associative\",\"value\":{\"$x\":\"`id`\",\"@\":\"at\",\"]\":\"br\",\"k 1\":\"v'1\"}}}}"
#define HOOK(text) "\"shellHook\":{\"type\":\"exported\",\"value\":\"" text "\"},"

static char dir_name[] = "/tmp/igloo-devenv-XXXXXX";
static char script_name[64];

static void cleanup(void)
{
	(void)unlink(script_name);
	(void)rmdir(dir_name);
}

static const char *script_path(void)
{
	if (!*script_name) {
		CHECK(mkdtemp(dir_name));
		(void)snprintf(script_name, sizeof(script_name), "%s/it's", dir_name);
		(void)atexit(cleanup);
	}
	return script_name;
}

static void parse(const char *json, const struct devenv_options *o, struct devenv *env)
{
	_cleanup_err_ struct err *e = NULL;

	if (devenv_parse(json, strlen(json), o, env, &e) < 0)
		printf("# %s\n", err_message(e));
	CHECK(!e);
}

static void write_script(const struct devenv *env)
{
	_cleanup_str_ struct str s = STR_INIT;

	devscript_add(&s, env);
	_cleanup_close_ int fd = open(script_path(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && fd_write_all(fd, s.p, s.len) == 0);
}

static void child(char *const *argv, char *const *envp, int in, int out)
{
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(99);
	(void)execve(argv[0], argv, envp);
	_exit(98);
}

/* Runs argv with `input` on stdin; returns the exit status, both outputs in *text. */
static int run(char *const *argv, char *const *envp, const char *input, struct str *text)
{
	int in[2];
	int out[2];
	int status = 0;
	pid_t pid;

	CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	pid = fork();
	if (pid == 0)
		child(argv, envp, in[0], out[1]);
	(void)close(in[0]);
	(void)close(out[1]);
	CHECK(fd_write_all(in[1], input, strlen(input)) == 0);
	(void)close(in[1]);
	CHECK(fd_read_all(out[0], 1 << 20, text, NULL) == 0);
	(void)close(out[0]);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The command in the environment of `json`, as igloo starts it when there is a hook. */
static int run_in(const char *json, char *const *command, const char *input, struct str *text)
{
	_cleanup_devenv_ struct devenv env = {0};
	_cleanup_strv_ struct strv argv = STRV_INIT;

	parse(json, NULL, &env);
	write_script(&env);
	devscript_run_argv(&argv, env.bash, script_path(), command);
	return run(argv.v, env.env.v, input, text);
}

#define COMMAND(...) ((char *const[]){__VA_ARGS__, NULL})
#define W(text) ((char[]){text})
#define SH(text) COMMAND(W("sh"), W("-c"), W(text))

#define CHECK_RUN(hook, command, input, status, output)                  \
	do {                                                             \
		_cleanup_str_ struct str text_ = STR_INIT;               \
		int got_ = run_in(SAMPLE(hook), command, input, &text_); \
		CHECK_STR(str_text(&text_), output);                     \
		CHECK(got_ == (status));                                 \
	} while (0)

TEST(variables_as_nix_develop_sets_them)
{
	static const char *const absent[] = {
		"HOME",  "TERM", "NIX_ENFORCE_PURITY", "NIX_LOG_FD", "EPOCHSECONDS", "OLDPWD",
		"plain", "arr",  "COMP_WORDBREAKS",    "LINENO"};
	static const char *const temporary[] = {"NIX_BUILD_TOP", "TMP", "TMPDIR", "TEMP", "TEMPDIR"};
	_cleanup_devenv_ struct devenv env = {0};
	struct devenv_options o = {.env_path = "/nix/store/e"};

	parse(SAMPLE(""), &o, &env);
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		CHECK(!strv_env_get(&env.env, absent[i]));
	for (size_t i = 0; i < ARRAY_SIZE(temporary); i++)
		CHECK_STR(strv_env_get(&env.env, temporary[i]), "/tmp");
	CHECK_STR(strv_env_get(&env.env, "PATH"), "/usr/bin:/bin");
	CHECK_STR(strv_env_get(&env.env, "IN_NIX_SHELL"), "impure");
	CHECK_STR(strv_env_get(&env.env, "EMPTYV"), "");
	CHECK_STR(strv_env_get(&env.env, "SPACES"), "a  b\n'q' \"d\" ! $x");
	CHECK_STR(strv_env_get(&env.env, "SHELL"), "/bin/bash");
	CHECK_STR(strv_env_get(&env.env, "NIX_GCROOT"), "/nix/store/e");
	CHECK_STR(env.bash, "/bin/bash");
	CHECK_STR(env.out, "/nix/store/ppxj8dhwx4100iq8z6jrl4qbh7njmmq0-X-env");
	CHECK(!env.needs_bash);
	CHECK_STR(env.shell_hook, "");
	CHECK(env.n_vars == 3 && env.n_functions == 3);
	CHECK(devenv_has_function(&env, "foo-bar") && !devenv_has_function(&env, "foo"));
}

TEST(two_evaluations_give_the_same_script)
{
	_cleanup_devenv_ struct devenv env = {0};
	_cleanup_str_ struct str s = STR_INIT;

	parse(SAMPLE(""), NULL, &env);
	devscript_add(&s, &env);
	CHECK(!strstr(s.p, "17952599"));
}

TEST(outputs_become_folders)
{
	_cleanup_devenv_ struct devenv env = {0};
	struct devenv_options o = {.outputs_dir = "/home/u/it's/outputs"};

	parse(SAMPLE(HOOK("echo /nix/store/ppxj8dhwx4100iq8z6jrl4qbh7njmmq0-X-env/lib")), &o, &env);
	CHECK_STR(strv_env_get(&env.env, "out"), "/home/u/it's/outputs/out");
	CHECK_STR(env.shell_hook, "echo /home/u/it's/outputs/out/lib");
	CHECK_STR(env.out, "/nix/store/ppxj8dhwx4100iq8z6jrl4qbh7njmmq0-X-env");
}

/* The form of 2.26 and 2.34: `env` and `outputs` are tables, the files' texts come along, `meta` is new. */
TEST(structured_attributes)
{
	static const char json[] =
		"{\"bashFunctions\":{},\"meta\":{},\"variables\":{\"BASH\":{\"type\":\"var\",\"value\":\"/b/bash\"},"
		"\"NIX_ATTRS_JSON_FILE\":{\"type\":\"exported\",\"value\":\"/build/.attrs.json\"},"
		"\"NIX_ATTRS_SH_FILE\":{\"type\":\"exported\",\"value\":\"/build/.attrs.sh\"},"
		"\"env\":{\"type\":\"associative\",\"value\":{\"FOO\":\"bar\"}},"
		"\"ro\":{\"type\":\"unknown\"},"
		"\"shellHook\":{\"type\":\"var\",\"value\":\"echo s\"},"
		"\"out\":{\"type\":\"exported\",\"value\":\"/nix/store/aaaaaaaaaaaaaaaaaaaaaaaa\"},"
		"\"outputs\":{\"type\":\"associative\",\"value\":{\"out\":\"/nix/store/aaaaaaaaaaaaaaaaaaaaaaaa\"}}},"
		"\"structuredAttrs\":{\".attrs.sh\":\"declare x\",\".attrs.json\":\"{}\"}}";
	struct devenv_options o = {.outputs_dir = "/w/outputs", .attrs_dir = "/run/igloo"};
	_cleanup_devenv_ struct devenv env = {0};
	_cleanup_str_ struct str s = STR_INIT;

	parse(json, &o, &env);
	CHECK_STR(strv_env_get(&env.env, "NIX_ATTRS_JSON_FILE"), "/run/igloo/.attrs.json");
	CHECK_STR(strv_env_get(&env.env, "NIX_ATTRS_SH_FILE"), "/run/igloo/.attrs.sh");
	CHECK_STR(strv_env_get(&env.env, "out"), "/w/outputs/out");
	CHECK_STR(env.attrs_sh, "declare x");
	CHECK_STR(env.attrs_json, "{}");
	CHECK(env.needs_bash);
	CHECK_STR(env.bash, "/b/bash");
	devscript_add(&s, &env);
	CHECK(strstr(s.p, "declare -gA outputs=(['out']='/w/outputs/out' )\n"));
	CHECK(strstr(s.p, "shellHook='echo s'\n"));
	CHECK(!strstr(s.p, "unset -v shellHook"));
}

TEST(refuses_what_nix_would_not_write)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"variables\":[]}",
		"{\"variables\":{},\"bashFunctions\":3}",
		"{\"variables\":{\"a b\":{\"type\":\"var\",\"value\":\"\"}}}",
		"{\"variables\":{\"x;id\":{\"type\":\"array\",\"value\":[]}}}",
		"{\"variables\":{\"\":{\"type\":\"var\",\"value\":\"\"}}}",
		"{\"variables\":{\"1x\":{\"type\":\"var\",\"value\":\"\"}}}",
		"{\"variables\":{\"x\":{\"type\":\"var\",\"value\":1}}}",
		"{\"variables\":{\"x\":{\"type\":\"var\"}}}",
		"{\"variables\":{\"x\":{\"value\":\"\"}}}",
		"{\"variables\":{\"x\":3}}",
		"{\"variables\":{\"x\":{\"type\":\"var\",\"value\":\"a\\u0000b\"}}}",
		"{\"variables\":{\"x\":{\"type\":\"var\",\"value\":\"\xff\"}}}",
		"{\"variables\":{\"x\":{\"type\":\"array\",\"value\":[1]}}}",
		"{\"variables\":{\"x\":{\"type\":\"array\",\"value\":{}}}}",
		"{\"variables\":{\"x\":{\"type\":\"associative\",\"value\":{\"\":\"\"}}}}",
		"{\"variables\":{\"x\":{\"type\":\"var\",\"value\":\"\"},\"x\":{\"type\":\"var\",\"value\":\"\"}}}",
		"{\"variables\":{},\"bashFunctions\":{\"a$(id)\":\"\"}}",
		"{\"variables\":{},\"bashFunctions\":{\"a\\nb\":\"\"}}",
		"{\"variables\":{},\"bashFunctions\":{\"a\":[]}}",
		"{\"variables\":{},\"structuredAttrs\":{\".attrs.sh\":\"\"}}",
		"{\"variables\":{\"shellHook\":{\"type\":\"var\",\"value\":\"true\"}}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_devenv_ struct devenv env = {0};
		_cleanup_err_ struct err *e = NULL;

		if (devenv_parse(bad[i], strlen(bad[i]), NULL, &env, &e) != -EBADMSG)
			printf("# %s\n", bad[i]);
		CHECK(e && err_number(e) == EBADMSG);
	}
}

TEST(bash_has_it_all)
{
	CHECK_RUN("", COMMAND(W("greet"), W("you there")), "", 0, "hi you there\nhere you there\n");
	CHECK_RUN("", COMMAND(W("foo-bar"), W("a")), "", 0, "A\n");
	/* a variable and a function of the same name; the function's status */
	CHECK_RUN("", COMMAND(W("buildPhase"), W("z")), "", 7, "from function z\n");
	CHECK_RUN(HOOK("echo \\\"$buildPhase\\\"; buildPhase h"), SH("echo \"$buildPhase\""), "", 0,
		  "echo from variable\nfrom function h\necho from variable\n");
	CHECK_RUN(HOOK("printf '[%s]' \\\"${arr[@]}\\\" \\\"${tab[k 1]}\\\" $plain; "
		       "k=']'; printf '[%s]' \\\"${#arr[@]} ${#tab[@]}\\\" \\\"${tab[$k]}\\\"; export plain"),
		  SH("echo $plain"), "", 0, "[a b][x\ny][it's][!][][$(echo no)][v'1][unexported][6 4][br]unexported\n");
	CHECK_RUN("", SH("echo \"$plain\" \"$PWD\" | sed s,/.*,ok,"), "", 0, " ok\n");
}

TEST(hooks_behave_as_under_nix_develop)
{
	CHECK_RUN(HOOK("exit 3"), SH("echo never"), "", 3, "");
	CHECK_RUN(HOOK("false; (exit 9)"), SH("echo goes on"), "", 0, "goes on\n");
	CHECK_RUN(HOOK("set -eu; true"), SH("echo under set -e; exit 4"), "", 4, "under set -e\n");
	CHECK_RUN(HOOK("set -e"), COMMAND(W("buildPhase")), "", 7, "from function \n");
	CHECK_RUN(HOOK("read -r LINE; export LINE"), SH("echo \"$LINE\"; cat"), "one\ntwo\n", 0, "one\ntwo\n");
	CHECK_RUN(HOOK("echo printed"), SH("echo run"), "", 0, "printed\nrun\n");
	CHECK_RUN(HOOK("trap 'echo bye' EXIT"), SH("echo run"), "", 0, "run\n");
	CHECK_RUN(HOOK("trap '' TERM"), SH("kill -TERM $$; echo alive"), "", 0, "alive\n");
	CHECK_RUN(HOOK("cd /usr"), SH("pwd"), "", 0, "/usr\n");
	CHECK_RUN(HOOK("echo \\\"n=$#\\\"; set -- x y"), SH("echo run $#"), "", 0, "n=0\nrun 0\n");
	CHECK_RUN(HOOK("shopt -s execfail nullglob; IFS=/"), COMMAND(W("echo"), W("a  b"), W("/*x*")), "", 0,
		  "a  b /*x*\n");
	CHECK_RUN(HOOK("umask 077; unset PATH; PATH=/usr/bin:/bin"), SH("umask"), "", 0, "0077\n");
}

TEST(what_cannot_be_run)
{
	CHECK_RUN("", COMMAND(W("no-such\x1b-command")), "", 127,
		  "igloo: $'no-such\\E-command': command not found in the environment\n");
	_cleanup_str_ struct str text = STR_INIT;
	CHECK(run_in(SAMPLE(HOOK("shopt -s execfail")), COMMAND(W("/etc/passwd")), "", &text) == 126);
	CHECK(run_in(SAMPLE(""), COMMAND(W("/nothing/there")), "", &text) == 127);
	/* a function that bash cannot read: not silently without its functions */
	text.len = 0;
	CHECK(run_in("{\"variables\":{\"BASH\":{\"type\":\"var\",\"value\":\"/bin/"
		     "bash\"}},\"bashFunctions\":{\"f\":\"if (\"}}",
		     COMMAND(W("/bin/true")), "", &text) == 125);
	CHECK(strstr(str_text(&text), "igloo: bash cannot read the environment script\n"));
}

/* Every byte but NUL, in every place, in two locales: what bash prints is what went in. */
TEST(quotes_every_byte)
{
	char *locales[][2] = {{(char[]){"LC_ALL=C"}, NULL}, {(char[]){"LC_ALL=C.UTF-8"}, NULL}};
	char all[256 + 16];
	char *copies[] = {all, all, NULL};
	char *pair[] = {all, all, NULL};
	struct devenv_var vars[] = {
		{(char[]){"a"}, DEVENV_ARRAY, {copies, 2, 3}},
		{(char[]){"t"}, DEVENV_TABLE, {pair, 2, 3}},
		{(char[]){"v"}, DEVENV_TEXT, {copies, 1, 2}},
	};
	struct devenv env = {.vars = vars, .n_vars = 3};
	size_t n = 0;

	for (int c = 1; c < 256; c++)
		all[n++] = (char)c;
	memcpy(all + n, "\xc3'\xe2\x82'\\'!x", 10);
	n += 9;
	write_script(&env);
	for (size_t i = 0; i < ARRAY_SIZE(locales); i++) {
		_cleanup_str_ struct str text = STR_INIT;
		char *argv[] = {W("/bin/bash"),
				W("--norc"),
				W("-c"),
				W(". \"$1\"; printf %s \"$v\" \"${a[0]}\" \"${a[1]}\" \"${!t[@]}\" \"${t[@]}\""),
				W("x"),
				W(""),
				NULL};

		argv[5] = script_name;
		CHECK(run(argv, locales[i], "", &text) == 0);
		CHECK(text.len == 5 * n);
		for (size_t k = 0; k < 5; k++)
			CHECK(memcmp(text.p + k * n, all, n) == 0);
	}
}

TEST(a_shell_on_a_terminal)
{
	_cleanup_devenv_ struct devenv env = {0};
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_str_ struct str rc = STR_INIT;
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_free_ char *rc_name = NULL;

	parse(SAMPLE(HOOK("echo hook; alias greet=nope; PS1=mine")), NULL, &env);
	write_script(&env);
	rc_name = xasprintf("%s/rc", dir_name);
	devscript_add_rc(&rc, script_path(), "/nix/store/b/bin/bash");
	_cleanup_close_ int fd = open(rc_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && fd_write_all(fd, rc.p, rc.len) == 0);
	strv_env_set(&env.env, "HOME", dir_name);
	strv_env_set(&env.env, "HISTFILE", "/etc/passwd");
	devscript_shell_argv(&argv, env.bash, rc_name);
	CHECK(run(argv.v, env.env.v,
		  "foo-bar a\necho \"P=$PS1\" \"$SHELL\" \"$PATH\" \"${HISTFILE##*/}\" $plain\nHISTFILE=\nexit 5\n",
		  &text) == 5);
	(void)unlink(rc_name);
	CHECK(strstr(str_text(&text), "hook\n"));
	CHECK(strstr(str_text(&text), "\nA\n"));
	CHECK(strstr(str_text(&text),
		     "P=mine /nix/store/b/bin/bash /nix/store/b/bin:/usr/bin:/bin .bash_history unexported\n"));
}

TEST_MAIN()
