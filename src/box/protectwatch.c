#include "base/log.h"
#include "box/protect_impl.h"
#include "sys/file.h"

#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

int protect_watch(struct protect *p)
{
	if (!p || p->inotify >= 0)
		return p ? p->inotify : -1;
	p->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	for (size_t i = 0; p->inotify >= 0 && i < p->held.n; i++) {
		const struct held *h = &p->held.v[i];
		_cleanup_free_ char *dir = xstrndup(h->path, strlen(h->path) - strlen(h->name) - 1);
		char self[64];
		bool known = false;
		int wd;

		for (size_t k = 0; k < p->n_watches && !known; k++)
			known = strcmp(p->watches[k].dir, dir) == 0;
		if (known)
			continue;
		(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", h->dir);
		wd = inotify_add_watch(p->inotify, self, IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR);
		if (wd < 0)
			continue;
		p->watches = xrealloc_array(p->watches, p->n_watches + 1, sizeof(*p->watches));
		p->watches[p->n_watches++] = (struct watch){wd, take_ptr(dir)};
	}
	return p->n_watches > 0 ? p->inotify : -1;
}

static const struct held *find_held(const struct protect *p, const char *dir, const char *name, size_t n)
{
	size_t dir_len = strlen(dir);

	for (size_t i = 0; i < p->held.n; i++) {
		const struct held *h = &p->held.v[i];

		if (h->rule && strncmp(h->name, name, n) == 0 && h->name[n] == '\0' &&
		    strncmp(h->path, dir, dir_len) == 0 && h->path[dir_len] == '/' &&
		    strlen(h->path) == dir_len + 1 + n)
			return h;
	}
	return NULL;
}

static void strv_drop(struct strv *s, const char *text)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->v[i], text) != 0)
			continue;
		free(s->v[i]);
		s->v[i] = s->v[--s->n];
		s->v[s->n] = NULL;
		return;
	}
}

/* git writes NAME.lock and renames it: one that goes away otherwise was given up. */
static void on_lock_file(struct protect *p, const struct held *h, uint32_t mask)
{
	if ((mask & IN_CREATE) && !strv_has(&p->locks, h->path))
		strv_add(&p->locks, h->path);
	if ((mask & IN_DELETE) && strv_has(&p->locks, h->path) && !strv_has(&p->denied, h->path))
		strv_add(&p->denied, h->path);
	if (mask & (IN_DELETE | IN_MOVED_FROM))
		strv_drop(&p->locks, h->path);
}

static bool on_event(struct protect *p, const struct inotify_event *event)
{
	const struct held *h;
	size_t n = event->len ? strlen(event->name) : 0;

	if (event->mask & IN_Q_OVERFLOW)
		return true;
	for (size_t i = 0; n > 0 && i < p->n_watches; i++) {
		if (p->watches[i].wd != event->wd)
			continue;
		h = find_held(p, p->watches[i].dir, event->name, n);
		if (h)
			return true;
		if (n > 5 && strcmp(event->name + n - 5, ".lock") == 0 &&
		    (h = find_held(p, p->watches[i].dir, event->name, n - 5)))
			on_lock_file(p, h, event->mask);
	}
	return false;
}

bool protect_reapply(struct protect *p)
{
	_Alignas(struct inotify_event) char buffer[8192];
	bool again = false;
	ssize_t n;

	while ((n = read(p->inotify, buffer, sizeof(buffer))) > 0) {
		for (char *at = buffer; at < buffer + n;) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			again = on_event(p, event) || again;
			at += sizeof(*event) + event->len;
		}
	}
	for (size_t i = 0; again && i < p->held.n; i++)
		if (p->held.v[i].rule && held_make(&p->held.v[i]) < 0)
			log_debug("cannot hold %s again", p->held.v[i].name);
	return again;
}

void protect_add_notes(const struct protect *p, struct strv *notes)
{
	_cleanup_free_ char *dot_git = NULL;
	_cleanup_str_ struct str shown = STR_INIT;

	if (!p)
		return;
	for (size_t i = 0; i < p->held.n; i++) {
		const struct held *h = &p->held.v[i];

		if (!h->rule || !strv_has(&p->denied, h->path))
			continue;
		str_clear(&shown);
		str_add_printable(&shown, h->path, strlen(h->path), false);
		strv_addf(notes, "'%s' was to be changed and stayed as it is; to let the box change it: --unprotect %s",
			  str_text(&shown), h->rule);
	}
	protect_add_submodule_notes(p, notes);
	protect_add_made_notes(p, notes);
	dot_git = xasprintf("%s/.git", p->workspace);
	if (!p->is_git && access(dot_git, F_OK) == 0) {
		str_clear(&shown);
		str_add_printable(&shown, dot_git, strlen(dot_git), false);
		strv_addf(notes,
			  "a git repository was made in the workspace: read '%s/config' before you run git there",
			  str_text(&shown));
	}
}
