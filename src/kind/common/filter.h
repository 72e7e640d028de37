/* The seccomp filter, made at build time by seccomp/filter_gen.c from the rules in filter_rules.h. */
#ifndef IGLOO_KIND_COMMON_FILTER_H
#define IGLOO_KIND_COMMON_FILTER_H

/* Puts the filter on the calling process, which has no_new_privs set. Returns 0 or -errno. */
int filter_load(void);

#endif
