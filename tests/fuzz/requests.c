/* Requests of a flake. What is read is written as it is read again; nothing in it moves a cursor; a set covers itself.
 */
#include "box/requests.h"
#include "fuzz.h"

static void check_text(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			abort();
}

static void check(const struct requests *r)
{
	_cleanup_requests_ struct requests again = {0};
	_cleanup_requests_ struct requests missing = {0};
	_cleanup_requests_ struct requests all = {0};
	_cleanup_strv_ struct strv lines = STRV_INIT;
	_cleanup_str_ struct str json = STR_INIT;
	_cleanup_str_ struct str twice = STR_INIT;
	_cleanup_str_ struct str options = STR_INIT;

	requests_add_json(&json, r);
	if (requests_parse(str_text(&json), json.len, &again, NULL) < 0)
		abort();
	requests_add_json(&twice, &again);
	if (twice.len != json.len || memcmp(twice.p, json.p, json.len) != 0)
		abort();
	requests_missing(r, &again, &missing);
	requests_add(&all, r);
	if (requests_count(&missing) != 0 || requests_count(&all) != requests_count(r))
		abort();
	requests_add_lines(&lines, r, &again);
	for (size_t i = 0; i < lines.n; i++)
		check_text(lines.v[i]);
	for (size_t i = 0; i < r->unknown.n; i++)
		check_text(r->unknown.v[i]);
	requests_add_options(&options, r);
	check_text(str_text(&options));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_requests_ struct requests r = {0};
	_cleanup_err_ struct err *e = NULL;

	if (requests_parse((const char *)data, size, &r, &e) == 0)
		check(&r);
	else
		check_text(err_message(e));
	return 0;
}

FUZZ_MAIN()
