#include "fuzz.h"

#include "nix/nixlog.h"

#include <string.h>

static void check_clean(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)text[i] < 0x20 && text[i] != '\n' && text[i] != '\t') || text[i] == 0x7f)
			abort();
}

static void on_text(void *arg, enum nixlog_kind kind, const char *name, const char *text)
{
	check_clean(text, strlen(text));
	if (name)
		check_clean(name, strlen(name));
	if ((kind == NIXLOG_BUILD) != (name != NULL) || arg)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nixlog_options o = {.keep = 3, .max_log = 10000, .on_text = on_text};
	_cleanup_nixlog_ struct nixlog *log = nixlog_new(&o);
	_cleanup_str_ struct str s = STR_INIT;

	nixlog_feed(log, (const char *)data, size / 2);
	nixlog_add_summary(log, &s);
	nixlog_feed(log, (const char *)data + size / 2, size - size / 2);
	nixlog_end(log);
	nixlog_add_summary(log, &s);
	nixlog_add_failure(log, &s);
	check_clean(str_text(&s), s.len);
	check_clean(nixlog_text(log), strlen(nixlog_text(log)));
	return 0;
}

FUZZ_MAIN()
