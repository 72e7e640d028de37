/* cmd/sizes.h: what is said of sizes that are large for the host. */
#include "cmd/sizes.h"
#include "base/size.h"
#include "test.h"

static const struct sizes host = {.memory = 16 * SIZE_GIB, .cpu_milli = 8000, .disk = 100 * SIZE_GIB};

/* The notes joined by "|". */
static const char *notes(uint64_t memory, uint64_t cpu_milli, uint64_t disk)
{
	static char text[1024];
	const struct sizes asked = {memory, cpu_milli, disk};
	_cleanup_strv_ struct strv v = STRV_INIT;

	text[0] = '\0';
	sizes_add_notes(&asked, &host, &v);
	for (size_t i = 0; i < v.n; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? "|" : "", v.v[i]);
	return text;
}

TEST(says_what_is_more_than_80_percent)
{
	CHECK_STR(notes(0, 0, 0), "");
	CHECK_STR(notes(12 * SIZE_GIB, 6000, 80 * SIZE_GIB), "");
	CHECK_STR(notes(14 * SIZE_GIB, 0, 0), "--memory: 14 GiB is 87 % of this host's memory, 16 GiB");
	CHECK_STR(notes(0, 6500, 0), "--cpus: 7 of this host's 8 processors");
	CHECK_STR(notes(1024 * SIZE_GIB, 128000, 10000 * SIZE_GIB),
		  "--memory: 1 TiB is 6400 % of this host's memory, 16 GiB|--cpus: 128 of this host's 8 processors|"
		  "--disk: 9.7 TiB is 10000 % of what is free there, 100 GiB");
}

TEST(one_processor_is_never_too_many)
{
	const struct sizes asked = {.cpu_milli = 1000};
	const struct sizes small = {.cpu_milli = 1000, .disk = 5};
	const struct sizes disk = {.disk = SIZE_TIB};
	const struct sizes unknown = {.memory = 0};
	_cleanup_strv_ struct strv v = STRV_INIT;

	sizes_add_notes(&asked, &small, &v);
	CHECK(v.n == 0);
	sizes_add_notes(&disk, &unknown, &v);
	CHECK(v.n == 0);
	sizes_add_notes(&disk, &small, &v);
	CHECK(v.n == 1);
}

TEST(this_host_has_some)
{
	struct sizes here;
	struct sizes there;

	sizes_of_host("/", &here);
	CHECK(here.memory > 16 * SIZE_MIB && here.cpu_milli >= 1000);
	sizes_of_host("/nowhere/at/all", &there);
	CHECK(there.disk > 0 || here.disk == 0);
}

TEST_MAIN()
