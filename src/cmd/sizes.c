#include "cmd/sizes.h"

#include "base/size.h"

#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PERCENT = 80 };

/* Of the nearest folder that is there. */
static uint64_t free_bytes(const char *path)
{
	_cleanup_free_ char *copy = xstrdup(path);
	struct statvfs fs;

	while (statvfs(*copy ? copy : "/", &fs) < 0) {
		char *slash = strrchr(copy, '/');

		if (!slash || !*copy)
			return 0;
		*slash = '\0';
	}
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

void sizes_of_host(const char *path, struct sizes *ret)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	*ret = (struct sizes){
		.memory = pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0,
		.cpu_milli = cpus > 0 ? (uint64_t)cpus * 1000 : 0,
		.disk = path ? free_bytes(path) : 0,
	};
}

/* 0 when it is not worth a word. */
static unsigned int percent(uint64_t asked, uint64_t host)
{
	uint64_t of;

	if (asked == 0 || host == 0)
		return 0;
	/* Sizes are below 2^44; the host's may be anything. */
	of = host / 100 > 0 ? asked / (host / 100) : asked * 100 / host;
	return of > PERCENT ? (of < 100000 ? (unsigned int)of : 100000) : 0;
}

static void add_bytes(struct strv *notes, const char *option, uint64_t asked, uint64_t host, const char *what)
{
	_cleanup_str_ struct str text = STR_INIT;
	unsigned int of = percent(asked, host);

	if (of == 0)
		return;
	str_addf(&text, "--%s: ", option);
	size_add(&text, asked);
	str_addf(&text, " is %u %% of %s, ", of, what);
	size_add(&text, host);
	strv_add_take(notes, str_take(&text));
}

void sizes_add_notes(const struct sizes *asked, const struct sizes *host, struct strv *notes)
{
	add_bytes(notes, "memory", asked->memory, host->memory, "this host's memory");
	if (asked->cpu_milli > 1000 && percent(asked->cpu_milli, host->cpu_milli) > 0)
		strv_addf(notes, "--cpus: %llu of this host's %llu processors",
			  (unsigned long long)(asked->cpu_milli + 999) / 1000,
			  (unsigned long long)host->cpu_milli / 1000);
	add_bytes(notes, "disk", asked->disk, host->disk, "what is free there");
}
