#include "test.h"

#include "box/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(a_share_is_what_was_named)
{
	char place[] = "/var/tmp/igloo-spec-XXXXXX";
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *real = NULL;
	_cleanup_free_ char *mine = NULL;
	_cleanup_free_ char *other = NULL;
	struct box_spec spec = {0};

	CHECK(mkdtemp(place) != NULL);
	real = realpath(place, NULL);
	CHECK(real != NULL);
	mine = xasprintf("%s/mine", real);
	other = xasprintf("%s/other", real);
	CHECK(mkdir(mine, 0755) == 0 && mkdir(other, 0755) == 0);
	{
		_cleanup_free_ char *work = xasprintf("%s/work", mine);
		_cleanup_free_ char *secret = xasprintf("%s/work", other);

		CHECK(mkdir(work, 0755) == 0 && mkdir(secret, 0755) == 0);
		CHECK(box_spec_add_share(&spec, work, work, true, &e) == 0);
		/* A parent that was swapped for a link after the path was resolved. */
		CHECK(rmdir(work) == 0 && rmdir(mine) == 0 && symlink("other", mine) == 0);
		CHECK(box_spec_add_share(&spec, work, work, true, &e) == -ESTALE);
		err_clear(&e);
		CHECK(box_spec_add_share(&spec, "relative", "/x", true, &e) == -EINVAL);
		err_clear(&e);
		CHECK(box_spec_add_share(&spec, secret, "/etc", true, &e) == -EINVAL);
		CHECK(spec.nshares == 1);
		CHECK(unlink(mine) == 0 && rmdir(secret) == 0 && rmdir(other) == 0 && rmdir(real) == 0);
	}
	box_spec_release(&spec);
}

TEST_MAIN()
