#include "kind/vm/storelayer.h"

#include "base/clock.h"
#include "base/log.h"
#include "box/storeimage.h"
#include "kind/vm/storebuild.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>

static int make(void *arg, const char *path, struct err **e)
{
	return storebuild_make(arg, path, e);
}

static void say(const struct box_spec *spec, int fd, bool made, bool starts, int64_t begun)
{
	_cleanup_str_ struct str size = STR_INIT;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return;
	size_add(&size, (uint64_t)st.st_size);
	if (made)
		log_verbose("an image of %zu store paths was made, of %s, in %lld ms", spec->closure.n, str_text(&size),
			    (long long)(clock_ms(CLOCK_MONOTONIC) - begun));
	else if (starts)
		log_verbose("the machine has %zu store paths from an image, of %s", spec->closure.n, str_text(&size));
}

int storelayer_open(const struct slot *slot, const struct box_spec *spec, char **ret_path, struct err **e)
{
	_cleanup_storeimages_ struct storeimages cache = {.dir = -1};
	_cleanup_hostpaths_ struct hostpaths set = {0};
	_cleanup_free_ char *program = NULL;
	struct storebuild build = {.slot = slot, .set = &set, .paths = &spec->closure};
	const struct storeimage_maker maker = {.make = make, .arg = &build};
	char key[STOREIMAGE_KEY_HEX + 1];
	int64_t begun = clock_ms(CLOCK_MONOTONIC);
	bool made = false;
	int fd;
	int r = storebuild_find(&program, e);

	build.program = program;
	if (r == 0)
		r = hostpaths_load(slot->dir, &set, e);
	if (r == 0)
		r = storeimages_open(&cache, e);
	if (r == 0)
		r = storeimage_key(slot, &set, &spec->closure, program, key, e);
	if (r < 0)
		return r;
	fd = storeimage_get(&cache, key, &maker, &made, e);
	if (fd < 0) {
		(void)err_wrap(e, "--store-image");
		return fd;
	}
	say(spec, fd, made, !ret_path, begun);
	if (ret_path)
		*ret_path = storeimage_path(&cache, key);
	return fd;
}
