#include "base/size.h"
#include "base/name.h"
#include "test.h"

#include <errno.h>

static uint64_t size(const char *text)
{
	uint64_t v = 0;

	return size_parse(text, SIZE_MIB, 16 * SIZE_TIB, &v, NULL) < 0 ? 0 : v;
}

TEST(size_forms)
{
	CHECK(size("8") == 8 * SIZE_GIB);
	CHECK(size("8G") == 8 * SIZE_GIB);
	CHECK(size("8g") == 8 * SIZE_GIB);
	CHECK(size("8gb") == 8 * SIZE_GIB);
	CHECK(size("8GiB") == 8 * SIZE_GIB);
	CHECK(size("512M") == 512 * SIZE_MIB);
	CHECK(size("512mib") == 512 * SIZE_MIB);
	CHECK(size("2048k") == 2 * SIZE_MIB);
	CHECK(size("1048576b") == SIZE_MIB);
	CHECK(size("1.5G") == 3 * SIZE_GIB / 2);
	CHECK(size("0.125G") == 128 * SIZE_MIB);
	CHECK(size("1") == SIZE_GIB && size("1024") == SIZE_TIB);
	CHECK(size("16T") == 16 * SIZE_TIB);
}

TEST(size_refused)
{
	static const char *const bad[] = {"",
					  "0",
					  "-1",
					  "+1",
					  "1e9",
					  "0x10",
					  "10001",
					  "8589934592",
					  "8X",
					  "8 G",
					  " 8",
					  "8G ",
					  "8GiBs",
					  "G",
					  "8GG",
					  "1.G",
					  ".5G",
					  "1.2345G",
					  "1.2.3G",
					  "1,5G",
					  "17T",
					  "1K",
					  "0.5",
					  "18446744073709551616G",
					  "99999999999999999999",
					  "18446744073709551615T",
					  "8\n",
					  "NaN",
					  "inf",
					  "0G"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_err_ struct err *e = NULL;
		uint64_t v = 7;
		int r = size_parse(bad[i], SIZE_MIB, 16 * SIZE_TIB, &v, &e);

		if (r != -EINVAL && r != -ERANGE)
			printf("# accepted: '%s'\n", bad[i]);
		CHECK(r == -EINVAL || r == -ERANGE);
		CHECK(v == 7 && e);
		CHECK(!strchr(err_message(e), '\n') && strlen(err_message(e)) < 120);
	}
}

TEST(size_errors_say_what_is_accepted)
{
	_cleanup_err_ struct err *e = NULL;
	uint64_t v;

	CHECK(size_parse("1e9", SIZE_MIB, SIZE_TIB, &v, &e) == -EINVAL);
	CHECK_STR(err_message(e), "'1e9' is not a size: write 512M, 8G, 8GiB, or 8 for 8 GiB");
	CHECK(size_parse("1K", SIZE_MIB, SIZE_TIB, &v, &e) == -ERANGE);
	CHECK_STR(err_message(e), "'1K' is out of range: 1 MiB to 1 TiB");
	CHECK(size_parse("2048", SIZE_MIB, SIZE_TIB, &v, &e) == -ERANGE);
	CHECK(strstr(err_message(e), "needs a unit: a bare number is GiB, 1 to 1024;"));
	CHECK(size_parse("1024.5", SIZE_MIB, SIZE_TIB, &v, NULL) == -ERANGE);
	/* The limits of a disk and of memory. */
	CHECK(size_parse("10000", SIZE_MIB, 10000 * SIZE_GIB, &v, NULL) == 0 && v == 10000 * SIZE_GIB);
	CHECK(size_parse("10001", SIZE_MIB, 10000 * SIZE_GIB, &v, &e) == -ERANGE);
	CHECK(strstr(err_message(e), "1 to 10000"));
	CHECK(size_parse("1024gb", SIZE_MEMORY_MIN, SIZE_MEMORY_MAX, &v, NULL) == 0 && v == SIZE_TIB);
	CHECK(size_parse("1025gb", SIZE_MEMORY_MIN, SIZE_MEMORY_MAX, &v, &e) == -ERANGE);
	CHECK_STR(err_message(e), "'1025gb' is out of range: 16 MiB to 1 TiB");
	CHECK(size_parse("\033[31m", SIZE_MIB, SIZE_TIB, &v, &e) == -EINVAL);
	CHECK(!strchr(err_message(e), '\033'));
}

static uint64_t cpus(const char *text)
{
	uint64_t v = 0;

	return size_parse_cpus(text, &v, NULL) < 0 ? 0 : v;
}

TEST(cpus)
{
	CHECK(cpus("2") == 2000 && cpus("2cpu") == 2000 && cpus("2CPUs") == 2000);
	CHECK(cpus("0.5") == 500 && cpus("500m") == 500 && cpus("1m") == 1);
	CHECK(cpus("128") == 128000 && cpus("128.001") == 0 && cpus("129") == 0);
	CHECK(!cpus("0") && !cpus("-1") && !cpus("1e2") && !cpus("") && !cpus("0.0001") && !cpus("1.5m"));
	CHECK(!cpus("0m") && !cpus("2c") && !cpus("99999999999999999999"));
}

TEST(count)
{
	uint64_t v = 0;

	CHECK(size_parse_count("1", 1, 4194304, &v, NULL) == 0 && v == 1);
	CHECK(size_parse_count("4194304", 1, 4194304, &v, NULL) == 0 && v == 4194304);
	CHECK(size_parse_count("4194305", 1, 4194304, &v, NULL) == -ERANGE);
	CHECK(size_parse_count("0", 1, 4194304, &v, NULL) == -ERANGE);
	CHECK(size_parse_count("18446744073709551615", 0, UINT64_MAX, &v, NULL) == 0 && v == UINT64_MAX);
	CHECK(size_parse_count("18446744073709551616", 0, UINT64_MAX, &v, NULL) == -EINVAL);
	CHECK(size_parse_count("1.5", 1, 10, &v, NULL) == -EINVAL);
	CHECK(size_parse_count("5x", 1, 10, &v, NULL) == -EINVAL);
	CHECK(size_parse_count("", 0, 10, &v, NULL) == -EINVAL);
}

static uint64_t duration(const char *text)
{
	uint64_t v = 0;

	return size_parse_duration(text, &v, NULL) < 0 ? 0 : v;
}

TEST(duration)
{
	CHECK(duration("30") == 30000 && duration("30s") == 30000 && duration("5m") == 300000);
	CHECK(duration("2h") == 7200000 && duration("1d") == 86400000 && duration("1.5h") == 5400000);
	CHECK(duration("0.001") == 1 && duration("365d") == UINT64_C(31536000000));
	CHECK(!duration("366d") && !duration("0") && !duration("0s") && !duration("-5") && !duration("5y"));
	CHECK(!duration("") && !duration("s") && !duration("1h30m") && !duration("18446744073709551615d"));
}

TEST(shown)
{
	_cleanup_str_ struct str s = STR_INIT;

	size_add(&s, 0);
	str_addc(&s, ',');
	size_add(&s, 1);
	str_addc(&s, ',');
	size_add(&s, 1023);
	str_addc(&s, ',');
	size_add(&s, SIZE_KIB);
	str_addc(&s, ',');
	size_add(&s, 3 * SIZE_GIB / 2);
	str_addc(&s, ',');
	size_add(&s, SIZE_TIB - 1);
	str_addc(&s, ',');
	size_add(&s, 16 * SIZE_TIB);
	str_addc(&s, ',');
	size_add(&s, UINT64_MAX);
	CHECK_STR(str_text(&s), "0 bytes,1 byte,1023 bytes,1 KiB,1.5 GiB,1023.9 GiB,16 TiB,16777215.9 TiB");
	str_clear(&s);
	size_add_duration(&s, 90000);
	str_addc(&s, ',');
	size_add_duration(&s, 7200000);
	str_addc(&s, ',');
	size_add_duration(&s, 1500);
	CHECK_STR(str_text(&s), "90s,2h,1.500s");
}

TEST(names)
{
	_cleanup_err_ struct err *e = NULL;

	CHECK(name_is_valid("a") && name_is_valid("0") && name_is_valid("my-box_2"));
	CHECK(name_is_valid("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	CHECK(!name_is_valid("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	CHECK(!name_is_valid("") && !name_is_valid("-a") && !name_is_valid("_a") && !name_is_valid("A"));
	CHECK(!name_is_valid("a.b") && !name_is_valid("a/b") && !name_is_valid("..") && !name_is_valid("a\n"));
	CHECK(name_check("a b", &e) == -EINVAL && strstr(err_message(e), "'a b'"));
}

TEST_MAIN()
