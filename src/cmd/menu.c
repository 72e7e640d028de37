#include "cmd/menu.h"

#include "sys/fd.h"
#include "sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 4096,
	ANSWER_MAX_BYTES = 65536,
	/* fzf(1), "EXIT STATUS" */
	FZF_NO_MATCH = 1,
	FZF_INTERRUPTED = 130,
};

void menu_open(struct menu *m, const char *not_below)
{
	m->fzf = spawn_find("fzf", NULL, not_below);
}

void menu_close(struct menu *m)
{
	free(m->fzf);
	m->fzf = NULL;
}

bool menu_possible(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

static const char *label(const struct menu_entry *entry)
{
	return entry->label ? entry->label : entry->value;
}

/* --- reading answers -----------------------------------------------------------------------------------------------
 */

static int add_value(const struct menu_question *q, const char *value, struct strv *ret, struct err **e)
{
	int r = *value && q->check ? q->check(value, q->data, e) : 0;

	if (r == 0 && *value)
		strv_add(ret, value);
	return r;
}

static char *trimmed(const char *text)
{
	size_t n;

	text += strspn(text, " \t");
	n = strlen(text);
	while (n > 0 && strchr(" \t\r", text[n - 1]))
		n--;
	return xstrndup(text, n);
}

/* What is typed may be an entry's value or label, too. */
static int add_typed(const struct menu_question *q, const char *text, struct strv *ret, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	for (size_t i = 0; i < q->n; i++)
		if (strcmp(text, q->entries[i].value) == 0 || strcmp(text, label(&q->entries[i])) == 0)
			return add_value(q, q->entries[i].value, ret, e);
	if (q->typed)
		return add_value(q, text, ret, e);
	str_add_printable(&shown, text, strnlen(text, 64), false);
	return err_set(e, EINVAL, "'%s' is none of these", str_text(&shown));
}

static int add_number(const struct menu_question *q, const char *digits, struct strv *ret, struct err **e)
{
	unsigned long number = strlen(digits) < 9 ? strtoul(digits, NULL, 10) : 0;

	if (number >= 1 && number <= q->n)
		return add_value(q, q->entries[number - 1].value, ret, e);
	if (q->numbers)
		return add_typed(q, digits, ret, e);
	return err_set(e, EINVAL, "there is no %.9s in the list%s", digits,
		       q->typed ? ": other values are written with their unit" : "");
}

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

/* Of an answer that failed in the middle, nothing stays. */
static int take(struct strv *from, int r, struct strv *ret)
{
	if (r == 0 && from->n > 0)
		strv_add_all(ret, from->v);
	return r;
}

int menu_read_line(const struct menu_question *q, const char *line, struct strv *ret, struct err **e)
{
	_cleanup_free_ char *text = trimmed(line);
	_cleanup_strv_ struct strv words = STRV_INIT;
	_cleanup_strv_ struct strv values = STRV_INIT;
	int r = 0;

	if (!*text)
		return q->n > 0 ? add_value(q, q->entries[0].value, ret, e) : 0;
	if (!q->several)
		return q->n > 0 && is_number(text) ? add_number(q, text, ret, e) : add_typed(q, text, ret, e);
	for (char *p = text; *p; p++)
		if (*p == ',')
			*p = ' ';
	strv_split(&words, text, ' ');
	for (size_t i = 0; i < words.n && r == 0; i++)
		r = is_number(words.v[i]) ? add_number(q, words.v[i], &values, e)
					  : add_typed(q, words.v[i], &values, e);
	return take(&values, r, ret);
}

int menu_read_fzf(const struct menu_question *q, const char *output, struct strv *ret, struct err **e)
{
	_cleanup_free_ char *first = xstrndup(output, strcspn(output, "\n"));
	_cleanup_free_ char *typed = trimmed(first);
	_cleanup_strv_ struct strv lines = STRV_INIT;
	_cleanup_strv_ struct strv values = STRV_INIT;
	int r = 0;

	if (*typed && (q->typed || !q->several))
		return add_typed(q, typed, ret, e);
	strv_split(&lines, output + strcspn(output, "\n"), '\n');
	for (size_t i = 0; i < lines.n && r == 0; i++)
		for (size_t k = 0; k < q->n && r == 0; k++)
			if (strcmp(lines.v[i], label(&q->entries[k])) == 0)
				r = add_value(q, q->entries[k].value, &values, e);
	return take(&values, r, ret);
}

/* --- lists ---------------------------------------------------------------------------------------------------------
 */

/* One line, no byte more. -ECANCELED at the end of input. */
static int read_line(struct str *line)
{
	char c;

	for (;;) {
		ssize_t n = read(STDIN_FILENO, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -ECANCELED;
		if (c == '\n')
			return 0;
		if (line->len < LINE_MAX_BYTES && c)
			str_addc(line, c);
	}
}

static int ask_list(const struct menu_question *q, const char *problem, struct str *answer)
{
	_cleanup_str_ struct str s = STR_INIT;

	if (problem) {
		str_addf(&s, "  %s\n", problem);
	} else {
		str_addf(&s, "\n%s: %s\n", q->title, q->how);
		for (size_t i = 0; i < q->n; i++)
			str_addf(&s, "  %zu) %s\n", i + 1, label(&q->entries[i]));
	}
	if (q->n > 0)
		str_addf(&s, "%s [1] ", q->title);
	else
		str_addf(&s, "%s: ", q->title);
	/* Keys that were pressed before the question are no answer to it. */
	(void)tcflush(STDIN_FILENO, TCIFLUSH);
	(void)fd_write_all(STDERR_FILENO, str_text(&s), s.len);
	return read_line(answer);
}

/* --- fzf -----------------------------------------------------------------------------------------------------------
 */

/* The user's own options for fzf are for searching files; some of them would change what it prints. */
static char **environment(void)
{
	char **env = xcalloc(1, sizeof(*env));
	size_t n = 0;

	for (char **v = environ; *v; v++) {
		if (str_starts(*v, "FZF_DEFAULT_"))
			continue;
		env = xrealloc_array(env, n + 2, sizeof(*env));
		env[n++] = *v;
		env[n] = NULL;
	}
	return env;
}

/* It reads keys from the controlling terminal and draws on stderr, so it stays in our process group. */
static int start_fzf(const char *path, char *const *argv, int in, int out, pid_t *ret)
{
	_cleanup_free_ char **env = environment();
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int r;

	(void)sigemptyset(&none);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	(void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	r = posix_spawn(ret, path, &actions, &attr, argv, env);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attr);
	return -r;
}

/* The entries, to be read. They are few: a pipe has room for PIPE_BUF bytes at least without anybody reading. */
static int entries_pipe(const struct menu_question *q)
{
	_cleanup_str_ struct str lines = STR_INIT;
	int ends[2];

	for (size_t i = 0; i < q->n; i++)
		str_addf(&lines, "%s\n", label(&q->entries[i]));
	if (lines.len > PIPE_BUF)
		return -E2BIG;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	(void)fd_write_all(ends[1], str_text(&lines), lines.len);
	(void)close(ends[1]);
	return ends[0];
}

/* 0, -ECANCELED, or another error when fzf is of no use. */
static int ask_fzf(const char *path, const struct menu_question *q, const char *problem, struct str *answer)
{
	_cleanup_free_ char *prompt = xasprintf("--prompt=%s> ", q->title);
	_cleanup_free_ char *header = xasprintf("--header=%s%s%s", problem ? problem : "", problem ? "\n" : "", q->how);
	char name[] = "fzf", phony[] = "--phony", print[] = "--print-query", height[] = "--height=12",
	     no[] = "--no-multi", many[] = "--multi", layout[] = "--layout=reverse", info[] = "--info=hidden";
	char *const argv[] = {name, phony, print, height, layout, info, q->several ? many : no, prompt, header, NULL};
	_cleanup_close_ int in = entries_pipe(q);
	int out[2];
	int status = 0;
	pid_t pid;
	int r;

	if (in < 0)
		return in;
	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	r = start_fzf(path, argv, in, out[1], &pid);
	(void)close(out[1]);
	if (r == 0)
		r = fd_read_all(out[0], ANSWER_MAX_BYTES, answer, NULL);
	(void)close(out[0]);
	if (r < 0)
		return r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == FZF_NO_MATCH))
		return 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == FZF_INTERRUPTED ? -ECANCELED : -EIO;
}

int menu_ask(struct menu *m, const struct menu_question *q, struct strv *ret, struct err **e)
{
	_cleanup_free_ char *problem = NULL;

	for (;;) {
		_cleanup_str_ struct str answer = STR_INIT;
		_cleanup_err_ struct err *why = NULL;
		bool by_fzf = m->fzf && q->n > 0;
		int r = by_fzf ? ask_fzf(m->fzf, q, problem, &answer) : ask_list(q, problem, &answer);

		if (r < 0 && r != -ECANCELED && by_fzf) {
			menu_close(m);
			continue;
		}
		if (r < 0)
			return err_set(e, -r, "left at '%s'", q->title);
		r = by_fzf ? menu_read_fzf(q, str_text(&answer), ret, &why)
			   : menu_read_line(q, str_text(&answer), ret, &why);
		if (r == 0)
			return 0;
		free(problem);
		problem = xstrdup(err_message(why));
	}
}
