#include "test.h"

#include "fmt/json.h"

#include <errno.h>

static int parse(const char *text, json_t **ret, struct err **e)
{
	return json_parse(text, strlen(text), 200, 4, ret, e);
}

TEST(sorted_dump)
{
	_cleanup_json_ json_t *a = NULL;
	_cleanup_str_ struct str text = STR_INIT;

	CHECK(parse("{ \"b\": [1, 2.5, null, true], \"a\": {\"z\": \"\\u00e9\\n\", \"y\": {}} }", &a, NULL) == 0);
	json_add_sorted(&text, a);
	CHECK_STR(str_text(&text), "{\"a\":{\"y\":{},\"z\":\"\303\251\\n\"},\"b\":[1,2.5,null,true]}");
}

static bool refused(const char *json, int errnum, const char *message)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_json_ json_t *j = NULL;

	if (parse(json, &j, &e) != -errnum)
		return false;
	printf("# %s\n", err_message(e));
	return strstr(err_message(e), message) != NULL;
}

TEST(bounds)
{
	_cleanup_free_ char *big = xasprintf("[%200s]", "1");
	_cleanup_json_ json_t *j = NULL;

	CHECK(parse("[[[[]]], \"[[[[[[ \\\" [[[[\", []]", &j, NULL) == 0);
	CHECK(refused("[[[[[]]]]]", EINVAL, "JSON nested more than 4 deep"));
	CHECK(refused(big, EFBIG, "JSON larger than 200 bytes"));
	CHECK(refused("{\"a\":1,\"a\":2}", EINVAL, "duplicate object key"));
	CHECK(refused("[\"\\u0000\"]", EINVAL, "not JSON: line 1"));
	CHECK(refused("[1] x", EINVAL, "not JSON: line 1"));
	CHECK(refused("[\"\033[1m", EINVAL, "not JSON: line 1"));
	CHECK(refused("", EINVAL, "not JSON"));
}

TEST(members)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_json_ json_t *j = NULL;
	const char *s = "default";
	json_int_t i = 7;
	json_t *o = NULL;
	bool b = true;

	CHECK(parse("{\"s\":\"x\",\"i\":3,\"r\":1.5,\"b\":false,\"n\":null,\"o\":{},\"a\":[]}", &j, NULL) == 0);
	CHECK(json_opt_string(j, "absent", "f", &s, &e) == 0 && json_opt_string(j, "n", "f", &s, &e) == 0);
	CHECK_STR(s, "default");
	CHECK(json_want_string(j, "s", "f", &s, &e) == 0);
	CHECK_STR(s, "x");
	CHECK(json_opt_int(j, "i", "f", &i, &e) == 0 && i == 3);
	CHECK(json_opt_bool(j, "b", "f", &b, &e) == 0 && !b);
	CHECK(json_want_object(j, "o", "f", &o, &e) == 0 && json_is_object(o));
	CHECK(json_want_array(j, "a", "f", &o, &e) == 0 && json_is_array(o));
	CHECK(json_want_int(j, "r", "f", &i, &e) == -EINVAL);
	CHECK_STR(err_message(e), "f: 'r' is a number, not an integer");
	CHECK(json_want_string(j, "absent", "f", &s, &e) == -EINVAL);
	CHECK_STR(err_message(e), "f: 'absent' is missing");
	CHECK(json_opt_object(j, "a", "f", &o, &e) == -EINVAL);
	CHECK_STR(err_message(e), "f: 'a' is an array, not an object");
	CHECK(json_opt_string(o, "a", "f", &s, &e) == -EINVAL);
	CHECK_STR(err_message(e), "f: not an object");
}

TEST_MAIN()
