#include "guest/vmoptions.h"

#include "guest/image.h"

#include <string.h>

static int64_t read_number(const char *text)
{
	int64_t n = 0;

	for (; *text >= '0' && *text <= '9' && n < 1000000000; text++)
		n = n * 10 + (*text - '0');
	return *text ? 0 : n;
}

static bool take_flag(struct vmoptions *o, const char *word)
{
	bool tap = strcmp(word, "--tap") == 0;
	bool keep = strcmp(word, "--keep") == 0;

	if (!tap && !keep && (strcmp(word, "--disk") != 0 || o->disks == VMHOST_DISKS_MAX))
		return false;
	o->tap |= tap;
	o->keep |= keep;
	o->disks += !tap && !keep;
	return true;
}

void vmoptions_take(char **argv, struct vmoptions *ret)
{
	size_t n = 0;

	*ret = (struct vmoptions){.hello_ms = 0};
	while (argv[1]) {
		if (take_flag(ret, argv[0])) {
			argv++;
			continue;
		}
		if (!argv[2])
			break;
		if (strcmp(argv[0], "--hello-ms") == 0)
			ret->hello_ms = read_number(argv[1]);
		else if (strcmp(argv[0], "--conf") == 0)
			ret->conf = argv[1];
		else if (strcmp(argv[0], "--warm") == 0)
			ret->warm = argv[1];
		else if (strcmp(argv[0], "--agent") == 0)
			ret->agent = argv[1];
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
