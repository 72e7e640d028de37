/* Runs a fuzz target over its corpus, then over cheap mutations of each file of it (bytes flipped,
 * cut short), all deterministic: what `make check` can afford of fuzzing on every run. */
#include "fuzz.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX_BYTES = 1 << 20, FLIPS = 400 };

static unsigned long long inputs;

static void feed(const void *p, size_t n)
{
	/* An exact copy, so that a sanitizer sees a read past the end. */
	_cleanup_free_ uint8_t *copy = xmalloc(n);

	memcpy(copy, p, n);
	(void)LLVMFuzzerTestOneInput(copy, n);
	inputs++;
}

static int run_file(int dirfd, const char *name)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	_cleanup_str_ struct str s = STR_INIT;
	uint64_t seed = 0x9e3779b97f4a7c15U;

	if (fd < 0 || fd_read_all(fd, FILE_MAX_BYTES, &s, NULL) < 0) {
		(void)fprintf(stderr, "cannot read %s\n", name);
		return -1;
	}
	feed(str_text(&s), s.len);
	for (size_t i = 0; i < FLIPS && s.len > 0; i++) {
		size_t at;
		char old;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		at = (size_t)(seed % s.len);
		old = s.p[at];
		s.p[at] = (char)(seed >> 32);
		feed(s.p, s.len);
		if (i % 4 == 0)
			feed(s.p, at);
		s.p[at] = old;
	}
	return 0;
}

int fuzz_run_corpus(int argc, char **argv)
{
	int r = 0;

	for (int i = 1; i < argc && r == 0; i++) {
		DIR *d = opendir(argv[i]);
		struct dirent *ent;

		if (!d) {
			r = run_file(AT_FDCWD, argv[i]);
			continue;
		}
		while (r == 0 && (ent = readdir(d)))
			if (ent->d_name[0] != '.')
				r = run_file(dirfd(d), ent->d_name);
		(void)closedir(d);
	}
	printf("%llu inputs\n", inputs);
	return r < 0 || inputs == 0;
}
