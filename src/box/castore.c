#include "box/castore.h"

#include "sys/fd.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUNDLE_MAX = 8 << 20, FILE_MAX = 1 << 20, FILES_MAX = 4096 };

void castore_add_system(struct str *to)
{
	static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
					     "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
	size_t before = to->len;

	for (size_t i = 0; i < ARRAY_SIZE(places) && to->len == before; i++) {
		_cleanup_close_ int fd = file_open_user(places[i], O_RDONLY);
		_cleanup_str_ struct str text = STR_INIT;

		if (fd >= 0 && fd_read_all(fd, BUNDLE_MAX, &text, NULL) == 0)
			str_add(to, str_text(&text), text.len);
	}
}

static int add_file(const char *path, struct str *to, struct err **e)
{
	_cleanup_close_ int fd = file_open_user(path, O_RDONLY);
	int r;

	if (fd < 0)
		return err_errno(e, -fd, "cannot open the certificate authorities in '%s'", path);
	r = fd_read_all(fd, BUNDLE_MAX, to, e);
	if (r == 0)
		str_addc(to, '\n');
	return r;
}

/* Each is a certificate or a link to one (c_rehash); what is not is left out where it is read. */
static int add_folder(const char *path, struct str *to, struct err **e)
{
	DIR *dir = opendir(path);
	const struct dirent *ent;
	size_t n = 0;

	if (!dir)
		return err_errno(e, errno, "cannot open the certificate authorities in '%s'", path);
	while ((ent = readdir(dir)) && n < FILES_MAX && to->len < BUNDLE_MAX) {
		_cleanup_close_ int fd = openat(dirfd(dir), ent->d_name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		_cleanup_str_ struct str text = STR_INIT;
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
			continue;
		n++;
		if (fd_read_all(fd, FILE_MAX, &text, NULL) == 0)
			str_addf(to, "%s\n", str_text(&text));
	}
	(void)closedir(dir);
	return 0;
}

int castore_add_own(struct str *to, struct err **e)
{
	const char *file = str_has(getenv("SSL_CERT_FILE")) ? getenv("SSL_CERT_FILE") : getenv("NIX_SSL_CERT_FILE");
	_cleanup_strv_ struct strv folders = STRV_INIT;
	int r = 0;

	if (str_has(file))
		r = add_file(file, to, e);
	else
		castore_add_system(to);
	if (str_has(getenv("SSL_CERT_DIR")))
		strv_split(&folders, getenv("SSL_CERT_DIR"), ':');
	for (size_t i = 0; i < folders.n && r == 0; i++)
		r = add_folder(folders.v[i], to, e);
	return r;
}
