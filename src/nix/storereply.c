#include "nix/storeserve_impl.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void add_head(struct str *to, const char *status, const char *type, uint64_t length, bool close)
{
	str_addf(to, "HTTP/1.1 %s\r\nServer: igloo\r\n", status);
	if (*type)
		str_addf(to, "Content-Type: %s\r\n", type);
	str_addf(to, "Content-Length: %llu\r\n%s\r\n", (unsigned long long)length,
		 close ? "Connection: close\r\n" : "");
}

static void add_text(struct storereply *r, const struct storerequest *request, const char *type, const struct str *body)
{
	add_head(&r->head, "200 OK", type, body->len, request->close);
	if (!request->head)
		str_add(&r->head, body->p, body->len);
}

void storereply_fail(struct storereply *r, const char *status, bool close)
{
	str_clear(&r->head);
	r->has_nar = false;
	add_head(&r->head, status, "", 0, close);
}

void storereply_release(struct storereply *r)
{
	str_release(&r->head);
	storeinfo_release(&r->nar);
}

/* The file itself; what is below it is looked at before it is sent. */
static bool is_public(const struct storeserve *s, const char *path)
{
	struct stat st;

	if (fstatat(s->dir, storepath_base(path), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (S_ISDIR(st.st_mode))
		return (st.st_mode & (S_IROTH | S_IXOTH)) == (S_IROTH | S_IXOTH);
	return S_ISLNK(st.st_mode) || (S_ISREG(st.st_mode) && (st.st_mode & S_IROTH));
}

static bool find(struct storeserve *s, const char *hash, struct storeinfo *ret)
{
	_cleanup_strv_ struct strv paths = STRV_INIT;
	struct storeinfo info;
	int r;

	if (!s->ask)
		return false;
	storeindex_find(s->index, hash, &paths);
	r = storeask_first(s->ask, &paths, &info, NULL);
	if (r < 0) {
		storeask_free(s->ask);
		s->ask = NULL;
	}
	if (r <= 0)
		return false;
	/* What derivations say of the host is more than a path's own hash lets know: what it was built from. */
	if (str_ends(info.path, ".drv") || !is_public(s, info.path)) {
		storeinfo_release(&info);
		return false;
	}
	*ret = info;
	return true;
}

static void add_narinfo(struct str *to, const struct storeinfo *info, const char *hash)
{
	str_addf(to, "StorePath: %s\nURL: nar/%s-%s.nar\nCompression: none\nNarHash: %s\nNarSize: %llu\nReferences:",
		 info->path, hash, info->nar_hash + strlen("sha256:"), info->nar_hash,
		 (unsigned long long)info->nar_size);
	for (size_t i = 0; i < info->refs.n; i++)
		str_addf(to, " %s", storepath_base(info->refs.v[i]));
	str_adds(to, info->refs.n > 0 ? "\n" : " \n");
	if (*info->deriver)
		str_addf(to, "Deriver: %s\n", storepath_base(info->deriver));
	for (size_t i = 0; i < info->sigs.n; i++)
		str_addf(to, "Sig: %s\n", info->sigs.v[i]);
	if (*info->ca)
		str_addf(to, "CA: %s\n", info->ca);
}

static void reply_info(struct storereply *r, const struct storerequest *request)
{
	_cleanup_str_ struct str body = STR_INIT;

	/* Before others: cache.nixos.org has 40. */
	str_adds(&body, "StoreDir: " STOREPATH_DIR "\nWantMassQuery: 1\nPriority: 10\n");
	add_text(r, request, "text/x-nix-cache-info", &body);
}

static void reply_narinfo(struct storereply *r, const struct storerequest *request, const struct storeinfo *info)
{
	_cleanup_str_ struct str body = STR_INIT;

	add_narinfo(&body, info, request->path_hash);
	add_text(r, request, "text/x-nix-narinfo", &body);
}

void storereply_make(struct storeserve *s, const struct storerequest *request, struct storereply *ret)
{
	_cleanup_storeinfo_ struct storeinfo info = {.nar_size = 0};

	*ret = (struct storereply){.has_nar = false};
	if (request->what == STOREREQUEST_INFO) {
		reply_info(ret, request);
		return;
	}
	if (request->what == STOREREQUEST_NARINFO && find(s, request->path_hash, &info)) {
		reply_narinfo(ret, request, &info);
		return;
	}
	/* The path as it was when its narinfo was made, or none. */
	if (request->what != STOREREQUEST_NAR || !find(s, request->path_hash, &info) ||
	    strcmp(info.nar_hash + strlen("sha256:"), request->nar_hash) != 0) {
		storereply_fail(ret, "404 Not Found", request->close);
		return;
	}
	add_head(&ret->head, "200 OK", "application/x-nix-nar", info.nar_size, request->close);
	ret->has_nar = !request->head;
	ret->nar = info;
	info = (struct storeinfo){.nar_size = 0};
}
