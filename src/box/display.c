#include "box/display.h"

#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int display_parse(const char *text, struct display *ret, struct err **e)
{
	const char *digits = text && str_starts(text, "vnc:") ? text + strlen("vnc:") : NULL;
	unsigned long port = digits ? strtoul(digits, NULL, 10) : DISPLAY_VNC_PORT;

	*ret = (struct display){.how = DISPLAY_NONE};
	if (!text)
		return 0;
	if (strcmp(text, "window") == 0) {
		ret->how = DISPLAY_WINDOW;
		return 0;
	}
	if (digits && (!*digits || digits[strspn(digits, "0123456789")] || strlen(digits) > 5 || port > UINT16_MAX))
		return err_set(e, EINVAL, "--display %s: a port is a number from 1 to 65535, or 0 for any free one",
			       text);
	if (!digits && strcmp(text, "vnc") != 0)
		return err_set(e, EINVAL, "--display %s: there are window, vnc and vnc:PORT", text);
	*ret = (struct display){.how = DISPLAY_VNC, .port = (uint16_t)port};
	return 0;
}
