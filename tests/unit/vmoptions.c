/* What PID 1 of a machine's box is told in front of QEMU's command line. */
#include "test.h"

#include "base/str.h"
#include "guest/vmoptions.h"

TEST(none)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct vmoptions o;

	strv_split(&argv, "/qemu --tap --screen x", ' ');
	vmoptions_take(argv.v, &o);
	CHECK(o.argv == argv.v && o.hello_ms == 0 && !o.tap && !o.disks && !o.screen && !o.env[0]);
}

TEST(all)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct vmoptions o;

	strv_split(&argv, "--disk --hello-ms 300 --tap --screen /run/s --env A=b --env C=d /qemu --env E=f", ' ');
	vmoptions_take(argv.v, &o);
	CHECK(o.hello_ms == 300 && o.tap && o.disks == 1 && o.argv == argv.v + 10);
	CHECK_STR(o.screen, "/run/s");
	CHECK_STR(o.env[0], "A=b");
	CHECK_STR(o.env[1], "C=d");
	CHECK(!o.env[2]);
}

TEST(what_is_kept)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct vmoptions o;

	strv_split(&argv, "--keep --conf /vm/conf --warm /vm/template --agent /box/a /qemu --keep", ' ');
	vmoptions_take(argv.v, &o);
	CHECK(o.keep && o.argv == argv.v + 7);
	CHECK_STR(o.agent, "/box/a");
	CHECK_STR(o.conf, "/vm/conf");
	CHECK_STR(o.warm, "/vm/template");
}

TEST(disks)
{
	_cleanup_strv_ struct strv two = STRV_INIT;
	_cleanup_strv_ struct strv three = STRV_INIT;
	struct vmoptions o;

	strv_split(&two, "--disk --tap --disk /qemu", ' ');
	vmoptions_take(two.v, &o);
	CHECK(o.disks == 2 && o.tap && o.argv == two.v + 3);
	strv_split(&three, "--disk --disk --disk /qemu", ' ');
	vmoptions_take(three.v, &o);
	CHECK(o.disks == 2 && o.argv == three.v + 2);
}

/* There is always a program, whatever it is called. */
TEST(too_short)
{
	_cleanup_strv_ struct strv tap = STRV_INIT;
	_cleanup_strv_ struct strv env = STRV_INIT;
	_cleanup_strv_ struct strv number = STRV_INIT;
	struct vmoptions o;

	strv_add(&tap, "--tap");
	vmoptions_take(tap.v, &o);
	CHECK(o.argv == tap.v && !o.tap);
	strv_split(&env, "--tap --env A=b", ' ');
	vmoptions_take(env.v, &o);
	CHECK(o.argv == env.v + 1 && o.tap && !o.env[0]);
	strv_split(&number, "--hello-ms 12x /qemu", ' ');
	vmoptions_take(number.v, &o);
	CHECK(o.argv == number.v + 2 && o.hello_ms == 0);
}

TEST_MAIN()
