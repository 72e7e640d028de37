#include "test.h"

#include "base/str.h"

TEST(grows_and_keeps_nul)
{
	_cleanup_str_ struct str s = STR_INIT;

	CHECK_STR(str_text(&s), "");
	for (int i = 0; i < 1000; i++)
		str_addf(&s, "%d,", i % 10);
	CHECK(s.len == 2000);
	CHECK(s.p[2000] == '\0');
}

TEST(quotes_for_a_shell)
{
	_cleanup_str_ struct str s = STR_INIT;

	str_add_quoted(&s, "plain-1.0/x");
	str_addc(&s, ' ');
	str_add_quoted(&s, "it's");
	str_addc(&s, ' ');
	str_add_quoted(&s, "");
	CHECK_STR(s.p, "plain-1.0/x 'it'\\''s' ''");
}

TEST(printable_disarms_terminals)
{
	_cleanup_str_ struct str s = STR_INIT;

	str_add_printable(&s, "a\x1b[2Jb\n\xc3\xa9\xff\xc2\x9b", 12, true);
	CHECK_STR(s.p, "a\\x1b[2Jb\n\xc3\xa9\\xff\\xc2\\x9b");
}

TEST(vectors)
{
	_cleanup_strv_ struct strv v = STRV_INIT;

	strv_split(&v, "b a  c a", ' ');
	CHECK(v.n == 4);
	strv_sort_unique(&v);
	CHECK(v.n == 3 && v.v[3] == NULL);
	CHECK(strv_find_sorted(&v, "c") == 2);
	CHECK(strv_find_sorted(&v, "d") == -1);
	for (int i = 0; i < 100; i++)
		strv_addf(&v, "N%d=%d", i, i);
	strv_env_set(&v, "N50", NULL);
	CHECK(!strv_env_get(&v, "N50"));
	strv_env_set(&v, "N51", "x");
	CHECK_STR(strv_env_get(&v, "N51"), "x");
	CHECK(v.n == 102 && v.v[102] == NULL);
}

TEST(distance)
{
	CHECK(str_distance("memory", "memory") == 0);
	CHECK(str_distance("memroy", "memory") == 1);
	CHECK(str_distance("mem", "memory") == 3);
}

TEST_MAIN()
