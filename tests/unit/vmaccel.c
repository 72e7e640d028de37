/* The choice of an accelerator, with this machine's /dev/kvm as it is, and files that are none. */
#include "test.h"

#include "kind/vm/accel.h"
#include "sys/file.h"

#include <errno.h>
#include <unistd.h>

static char folder[] = "/tmp/vmaccel-XXXXXX";
static int dir = -1;

TEST(names)
{
	_cleanup_err_ struct err *e = NULL;
	enum accel a;

	CHECK(accel_parse("kvm", &a, NULL) == 0 && a == ACCEL_KVM);
	CHECK_STR(accel_name(ACCEL_TCG), "tcg");
	CHECK(accel_parse("xen", &a, &e) == -EINVAL);
}

TEST(no_device)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {0};

	accel_probe("/nonexistent/kvm", -1, &v);
	CHECK(!v.usable && v.loop_us == -1);
	CHECK(strstr(v.why, "there is no /nonexistent/kvm"));
}

TEST(not_kvm)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {0};

	accel_probe("/dev/null", -1, &v);
	CHECK(!v.usable);
	CHECK(strstr(v.why, "no KVM of API version 12"));
}

TEST(this_machine)
{
	_cleanup_accel_verdict_ struct accel_verdict first = {0};
	_cleanup_accel_verdict_ struct accel_verdict second = {0};

	CHECK(mkdtemp(folder) && (dir = file_open_user(folder, O_RDONLY | O_DIRECTORY)) >= 0);
	accel_probe("/dev/kvm", dir, &first);
	printf("# /dev/kvm: %s, %ld us: %s\n", first.usable ? "usable" : "not usable", first.loop_us, first.why);
	CHECK(first.usable ? first.loop_us >= 0 && first.loop_us <= ACCEL_LOOP_MAX_US : *first.why != '\0');
	CHECK(!first.cached);
	accel_probe("/dev/kvm", dir, &second);
	CHECK(second.usable == first.usable);
	if (first.loop_us >= 0)
		CHECK(second.cached && second.loop_us == first.loop_us);
}

TEST(kept_of_another_boot)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {0};
	static const char old[] = "kvm-probe 1 00000000-0000-0000-0000-000000000000 6.0 x a e8 1\n17\n";

	CHECK(file_replace(dir, "kvm-probe", old, strlen(old), 0600, false, NULL) == 0);
	accel_probe("/dev/kvm", dir, &v);
	CHECK(!v.cached);
}

TEST(said_once)
{
	CHECK(accel_is_news(dir, "there is no KVM"));
	CHECK(!accel_is_news(dir, "there is no KVM"));
	CHECK(accel_is_news(dir, "another reason") && !accel_is_news(dir, "another reason"));
	/* Of another boot. */
	CHECK(file_replace(dir, "kvm-said", "00000000-0000-0000-0000-000000000000\nanother reason", 50, 0600, false,
			   NULL) == 0);
	CHECK(accel_is_news(dir, "another reason"));
	CHECK(accel_is_news(-1, "another reason"));
}

TEST(choose)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {0};
	_cleanup_accel_verdict_ struct accel_verdict w = {0};
	_cleanup_accel_verdict_ struct accel_verdict x = {0};
	_cleanup_err_ struct err *e = NULL;
	enum accel a;
	int r;

	CHECK(accel_choose(ACCEL_TCG, dir, &a, &v, NULL) == 0 && a == ACCEL_TCG);
	CHECK_STR(v.why, "");
	CHECK(accel_choose(ACCEL_AUTO, dir, &a, &w, NULL) == 0 && (a == ACCEL_KVM) == w.usable);
	r = accel_choose(ACCEL_KVM, dir, &a, &x, &e);
	CHECK(w.usable ? r == 0 : r == -EOPNOTSUPP && strstr(err_hints(e), "--accel tcg"));
	(void)file_remove_tree(dir, "kvm-probe", NULL);
	(void)file_remove_tree(dir, "kvm-said", NULL);
	(void)rmdir(folder);
}

TEST_MAIN()
