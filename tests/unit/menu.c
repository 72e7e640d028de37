/* cmd/menu.h: what an answer means, whichever way it came. */
#include "cmd/menu.h"
#include "test.h"

#include <errno.h>

static const struct menu_entry sizes[] = {{"", "igloo's choice"}, {"2G", NULL}, {"4G", NULL}};
static const struct menu_entry flags[] = {{"", "none"}, {"--a", "a"}, {"--b=c", "b=c"}};

static int short_ones(const char *value, void *data, struct err **e)
{
	return strlen(value) < 6 ? 0 : err_set(e, ERANGE, "'%s' is too long", value);
}

static const struct menu_question size = {
	.title = "Size", .how = "", .entries = sizes, .n = 3, .typed = true, .check = short_ones};
static const struct menu_question kind = {.title = "Kind", .how = "", .entries = sizes, .n = 3};
static const struct menu_question many = {.title = "Many", .how = "", .entries = flags, .n = 3, .several = true};
static const struct menu_question port = {
	.title = "Port", .how = "", .entries = flags, .n = 1, .typed = true, .numbers = true, .check = short_ones};
static const struct menu_question text = {.title = "Text", .how = "", .typed = true};

/* The values joined by "|", or "!" and the error. */
static const char *joined(int r, const struct strv *v, const struct err *e)
{
	static char buffer[1024];

	(void)snprintf(buffer, sizeof(buffer), "%s%s", r < 0 ? "!" : "", r < 0 ? err_message(e) : "");
	for (size_t i = 0; i < v->n; i++)
		(void)snprintf(buffer + strlen(buffer), sizeof(buffer) - strlen(buffer), "%s%s", i ? "|" : "", v->v[i]);
	return buffer;
}

static const char *line(const struct menu_question *q, const char *typed)
{
	_cleanup_strv_ struct strv v = STRV_INIT;
	_cleanup_err_ struct err *e = NULL;
	int r = menu_read_line(q, typed, &v, &e);

	return joined(r, &v, e);
}

static const char *fzf(const struct menu_question *q, const char *output)
{
	_cleanup_strv_ struct strv v = STRV_INIT;
	_cleanup_err_ struct err *e = NULL;
	int r = menu_read_fzf(q, output, &v, &e);

	return joined(r, &v, e);
}

TEST(lines_below_a_list)
{
	CHECK_STR(line(&size, ""), "");
	CHECK_STR(line(&size, "1"), "");
	CHECK_STR(line(&size, " 3 \r"), "4G");
	CHECK_STR(line(&size, "3G"), "3G");
	CHECK_STR(line(&size, "igloo's choice"), "");
	CHECK_STR(line(&size, "0"), "!there is no 0 in the list: other values are written with their unit");
	CHECK_STR(line(&size, "99999999999"),
		  "!there is no 999999999 in the list: other values are written with their unit");
	CHECK_STR(line(&size, "123456G"), "!'123456G' is too long");
	CHECK_STR(line(&kind, "2"), "2G");
	CHECK_STR(line(&kind, "4"), "!there is no 4 in the list");
	CHECK_STR(line(&kind, "4G"), "4G");
	CHECK_STR(line(&kind, "\033x"), "!'\\x1bx' is none of these");
	CHECK_STR(line(&port, "8000"), "8000");
	CHECK_STR(line(&port, "1"), "");
	CHECK_STR(line(&text, "1"), "1");
	CHECK_STR(line(&text, " a b "), "a b");
	CHECK_STR(line(&text, "  "), "");
}

TEST(several_numbers)
{
	CHECK_STR(line(&many, ""), "");
	CHECK_STR(line(&many, "2 3"), "--a|--b=c");
	CHECK_STR(line(&many, "3,2"), "--b=c|--a");
	CHECK_STR(line(&many, "a, --b=c"), "--a|--b=c");
	CHECK_STR(line(&many, "2 4"), "!there is no 4 in the list");
	CHECK_STR(line(&many, "2 x"), "!'x' is none of these");
}

TEST(what_fzf_prints)
{
	CHECK_STR(fzf(&size, "\n4G\n"), "4G");
	CHECK_STR(fzf(&size, "\nigloo's choice\n"), "");
	CHECK_STR(fzf(&size, "3G\n4G\n"), "3G");
	CHECK_STR(fzf(&size, " 3 \n"), "3");
	CHECK_STR(fzf(&size, "123456G\n"), "!'123456G' is too long");
	CHECK_STR(fzf(&kind, "4G\n2G\n"), "4G");
	CHECK_STR(fzf(&kind, "x\n2G\n"), "!'x' is none of these");
	CHECK_STR(fzf(&many, "\na\nb=c\n"), "--a|--b=c");
	CHECK_STR(fzf(&many, "x\na\n"), "--a");
	CHECK_STR(fzf(&many, "\nnone\n"), "");
	CHECK_STR(fzf(&size, ""), "");
}

TEST_MAIN()
