/* Diagnostics on stderr for people. Library code logs at LOG_DEBUG only; commands say the rest. */
#ifndef IGLOO_BASE_LOG_H
#define IGLOO_BASE_LOG_H

#include "base/mem.h"

enum log_level { LOG_QUIET, LOG_NORMAL, LOG_VERBOSE, LOG_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_level(void);

/* "igloo: message" when the level is at least NORMAL, VERBOSE, DEBUG. Untrusted text in it must have
 * gone through str_add_printable(). */
void log_note(const char *fmt, ...) ATTR_PRINTF(1, 2);
void log_verbose(const char *fmt, ...) ATTR_PRINTF(1, 2);
void log_debug(const char *fmt, ...) ATTR_PRINTF(1, 2);

#endif
