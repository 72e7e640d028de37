/* A very small test frame: TEST(name) { CHECK(…); } and TEST_MAIN() at the end of the file.
 * Prints TAP, as `meson test` and prove read it. A failed CHECK ends its test, not the program. */
#ifndef IGLOO_TESTS_TEST_H
#define IGLOO_TESTS_TEST_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

static struct test *tests_first;
static struct test **tests_end = &tests_first;
static jmp_buf test_failed;
static const char *test_lacks __attribute__((unused)); /* set by a test that cannot run here: what is missing */

#define TEST(id)                                                \
	static void test_##id(void);                            \
	static struct test reg_##id = {#id, test_##id, NULL};   \
	__attribute__((constructor)) static void add_##id(void) \
	{                                                       \
		*tests_end = &reg_##id;                         \
		tests_end = &reg_##id.next;                     \
	}                                                       \
	static void test_##id(void)

#define CHECK(cond)                                                                \
	do {                                                                       \
		if (!(cond)) {                                                     \
			printf("# %s:%d: CHECK(%s)\n", __FILE__, __LINE__, #cond); \
			longjmp(test_failed, 1);                                   \
		}                                                                  \
	} while (0)

#define CHECK_STR(a, b)                                                                                   \
	do {                                                                                              \
		const char *a_ = (a);                                                                     \
		const char *b_ = (b);                                                                     \
		if (!a_ || !b_ || strcmp(a_, b_) != 0) {                                                  \
			printf("# %s:%d: \"%s\" is not \"%s\"\n", __FILE__, __LINE__, a_ ? a_ : "(null)", \
			       b_ ? b_ : "(null)");                                                       \
			longjmp(test_failed, 1);                                                          \
		}                                                                                         \
	} while (0)

#define TEST_MAIN()                                                                                       \
	int main(void)                                                                                    \
	{                                                                                                 \
		volatile int number = 0;                                                                  \
		volatile int failed = 0;                                                                  \
		for (struct test *volatile t = tests_first; t; t = t->next) {                             \
			number++;                                                                         \
			test_lacks = NULL;                                                                \
			if (setjmp(test_failed) == 0) {                                                   \
				t->run();                                                                 \
				printf("ok %d - %s%s%s\n", number, t->name, test_lacks ? " # SKIP " : "", \
				       test_lacks ? test_lacks : "");                                     \
			} else {                                                                          \
				failed++;                                                                 \
				printf("not ok %d - %s\n", number, t->name);                              \
			}                                                                                 \
			(void)fflush(stdout);                                                             \
		}                                                                                         \
		printf("1..%d\n", number);                                                                \
		return failed ? 1 : 0;                                                                    \
	}

#endif
