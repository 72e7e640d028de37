/* Whatever happens to a source, the index gives the key that an index made from nothing gives.
 * TEST_SEED and TEST_STEPS make it another or a longer run. */
#include "place.h"
#include "test.h"

/* The key that an index made from nothing gives. */
static bool same_as_fresh(struct place *p)
{
	_cleanup_sourceindex_ struct sourceindex fresh = {0};

	(void)unlinkat(p->cache, "fresh", 0);
	return check(p) && sourceindex_check(&p->src, p->cache, "fresh", &fresh, NULL) == 0 &&
	       memcmp(fresh.key, p->now.key, 32) == 0;
}

static unsigned next_random(unsigned *state, unsigned n)
{
	*state = *state * 1103515245U + 12345U;
	return (*state >> 16) % n;
}

/* One of the things people and programs do to a work tree; whether it works does not matter. */
static void do_something(const char *repo, unsigned *rnd)
{
	_cleanup_free_ char *name = xasprintf("src/%c%u", "ab"[next_random(rnd, 2)], next_random(rnd, 3));
	_cleanup_free_ char *other = xasprintf("src/%c%u", "ab"[next_random(rnd, 2)], next_random(rnd, 3));
	_cleanup_free_ char *below = xasprintf("%s/x", name);
	_cleanup_free_ char *text = xasprintf("%u", next_random(rnd, 10));

	switch (next_random(rnd, 14)) {
	case 0:
	case 1:
	case 2:
		(void)put(repo, name, text);
		break;
	case 3:
		(void)GIT(repo, "add", "-A");
		break;
	case 4:
		(void)GIT(repo, "add", "-N", name);
		break;
	case 5:
		(void)GIT(repo, "commit", "-q", "-m", text);
		break;
	case 6:
		(void)RUN("rm", "-rf", in(repo, name));
		break;
	case 7:
		(void)rename(in(repo, name), in(repo, other));
		break;
	case 8:
		if (symlink(text, in(repo, name)) < 0)
			break;
		break;
	case 9:
		(void)chmod(in(repo, name), next_random(rnd, 2) ? 0755 : 0644);
		break;
	case 10:
		(void)mkdir(in(repo, name), 0755);
		(void)put(repo, below, text);
		break;
	case 11:
		(void)GIT(repo, "checkout", "-q", next_random(rnd, 2) ? "main" : "HEAD~1");
		break;
	case 12:
		(void)GIT(repo, "reset", "-q", "--hard", "main");
		break;
	default:
		(void)utimensat(AT_FDCWD, in(repo, name), (struct timespec[]){{9, 9}, {next_random(rnd, 99), 9}}, 0);
		break;
	}
}

static bool survives_anything(bool git, unsigned seed, int steps)
{
	_cleanup_place_ struct place p = place_make(git);

	for (int i = 0; i < steps; i++) {
		do_something(p.repo, &seed);
		if (next_random(&seed, 4) == 0)
			wait_ms(25);
		if (!same_as_fresh(&p)) {
			printf("# step %d\n", i);
			return false;
		}
	}
	return true;
}

TEST(never_another_answer_than_from_nothing_git)
{
	const char *seed = getenv("TEST_SEED");
	const char *steps = getenv("TEST_STEPS");

	CHECK(survives_anything(true, seed ? (unsigned)strtoul(seed, NULL, 10) : 1,
				steps ? (int)strtol(steps, NULL, 10) : 60));
}

TEST(never_another_answer_than_from_nothing_plain)
{
	const char *seed = getenv("TEST_SEED");
	const char *steps = getenv("TEST_STEPS");

	CHECK(survives_anything(false, seed ? (unsigned)strtoul(seed, NULL, 10) : 2,
				steps ? (int)strtol(steps, NULL, 10) : 100));
}

TEST(many_at_once)
{
	_cleanup_place_ struct place p = place_make(true);
	pid_t pids[4];
	bool good = true;

	CHECK(check(&p));
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			for (int k = 0; k < 40 && good; k++) {
				if (i == 0 && !put(p.repo, "src/a.c", k % 2 ? "int x;\n" : "int y;\n"))
					good = false;
				good = good && check(&p);
			}
			_exit(!good);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		int status = -1;

		(void)waitpid(pids[i], &status, 0);
		good = good && status == 0;
	}
	CHECK(good && same_as_fresh(&p) && is_warm(&p));
}

TEST_MAIN()
