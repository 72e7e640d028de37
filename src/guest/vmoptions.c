#include "guest/vmoptions.h"

#include <string.h>

static int64_t read_number(const char *text)
{
	int64_t n = 0;

	for (; *text >= '0' && *text <= '9' && n < 1000000000; text++)
		n = n * 10 + (*text - '0');
	return *text ? 0 : n;
}

static bool *flag(struct vmoptions *o, const char *word)
{
	return strcmp(word, "--tap") == 0 ? &o->tap : strcmp(word, "--disk") == 0 ? &o->disk : NULL;
}

void vmoptions_take(char **argv, struct vmoptions *ret)
{
	size_t n = 0;

	*ret = (struct vmoptions){.hello_ms = 0};
	while (argv[1]) {
		bool *f = flag(ret, argv[0]);

		if (f) {
			*f = true;
			argv++;
			continue;
		}
		if (!argv[2])
			break;
		if (strcmp(argv[0], "--hello-ms") == 0)
			ret->hello_ms = read_number(argv[1]);
		else if (strcmp(argv[0], "--screen") == 0)
			ret->screen = argv[1];
		else if (strcmp(argv[0], "--env") == 0 && n < VMOPTIONS_ENV_MAX)
			ret->env[n++] = argv[1];
		else
			break;
		argv += 2;
	}
	ret->argv = argv;
}
