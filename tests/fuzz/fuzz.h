/* One entry point for libFuzzer, AFL++ and the plain runner that `make check` builds: a file defines
 * LLVMFuzzerTestOneInput() and ends with FUZZ_MAIN(). Built without libFuzzer (no IGLOO_LIBFUZZER),
 * the program runs every file named on its command line, and every file of a folder, through it. */
#ifndef IGLOO_TESTS_FUZZ_H
#define IGLOO_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int fuzz_run_corpus(int argc, char **argv);

#ifdef IGLOO_LIBFUZZER
#define FUZZ_MAIN()
#else
#define FUZZ_MAIN()                                 \
	int main(int argc, char **argv)             \
	{                                           \
		return fuzz_run_corpus(argc, argv); \
	}
#endif

#endif
