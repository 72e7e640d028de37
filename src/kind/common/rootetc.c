/* The fixed part of a box's /etc, the same for all boxes of a slot. */
#include "kind/common/rootfs.h"

#include "box/castore.h"
#include "sys/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
	const char *name;
	const char *text;
};

/* Browsers put a dummy of an encrypted name into every ClientHello, so that the real ones are not noticed. A box's
 * gateway cannot tell one from the other and refuses both (net/hello.h); in a box browsers are told not to. */
#define CHROMIUM_POLICY "{\"EncryptedClientHelloEnabled\": false}\n"
static const struct file browsers[] = {
	{"chromium/policies/managed/igloo.json", CHROMIUM_POLICY},
	{"opt/chrome/policies/managed/igloo.json", CHROMIUM_POLICY},
	{"opt/chrome_for_testing/policies/managed/igloo.json", CHROMIUM_POLICY},
	{"opt/edge/policies/managed/igloo.json", CHROMIUM_POLICY},
	{"firefox/policies/policies.json", "{\"policies\": {\"Preferences\": {\"security.tls.ech.grease_probability\": "
					   "{\"Value\": 0, \"Status\": \"default\"}}}}\n"},
};

/* Parents before what is below them. */
static const char *const folders[] = {
	"nix",
	"box",
	"ssl",
	"ssl/certs",
	"chromium",
	"chromium/policies",
	"chromium/policies/managed",
	"opt",
	"opt/chrome",
	"opt/chrome/policies",
	"opt/chrome/policies/managed",
	"opt/chrome_for_testing",
	"opt/chrome_for_testing/policies",
	"opt/chrome_for_testing/policies/managed",
	"opt/edge",
	"opt/edge/policies",
	"opt/edge/policies/managed",
	"firefox",
	"firefox/policies",
};

static int make_folders(int etc, struct err **e)
{
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdirat(etc, folders[i], 0755) < 0)
			return err_errno(e, errno, "cannot make the box's /etc/%s", folders[i]);
	return 0;
}

static int put_files(int etc, const struct file *files, size_t n, struct err **e)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = rootfs_put_file(etc, files[i].name, files[i].text, strlen(files[i].text), e);
	return r;
}

int rootfs_fill_etc(int root, struct err **e)
{
	static const struct file files[] = {
		{"passwd", "root:x:0:0:root:/:/bin/sh\n" BOX_USER ":x:1000:1000:" BOX_USER ":" BOX_HOME ":/bin/sh\n"
			   "nobody:x:65534:65534:nobody:/:/bin/sh\n"},
		{"group", "root:x:0:\n" BOX_USER ":x:1000:\nnogroup:x:65534:\n"},
		{"hosts", "127.0.0.1 localhost " BOX_HOSTNAME "\n::1 localhost " BOX_HOSTNAME "\n"},
		{"hostname", BOX_HOSTNAME "\n"},
		{"nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
				  "networks: files\nservices: files\nprotocols: files\n"},
		{"nix/registry.json", "{\"flakes\":[],\"version\":2}\n"},
		/* The box is the sandbox: inside it Nix can make no namespace of its own, and needs no other user. */
		{"nix/nix.conf",
		 "experimental-features = nix-command flakes\nsandbox = false\nbuild-users-group =\n"
		 "warn-dirty = false\nflake-registry = /etc/nix/registry.json\naccept-flake-config = false\n"
		 "builders =\n!include /etc/box/nix.conf\n"},
	};
	_cleanup_close_ int etc = rootfs_new_tmpfs(root, "etc", "mode=0755,size=16m,nr_inodes=128", e);
	_cleanup_str_ struct str ca = STR_INIT;
	int r;

	if (etc < 0)
		return etc;
	r = make_folders(etc, e);
	if (r == 0 && symlinkat("box/resolv.conf", etc, "resolv.conf") < 0)
		r = err_errno(e, errno, "cannot fill the box's /etc");
	if (r == 0)
		r = put_files(etc, files, ARRAY_SIZE(files), e);
	if (r == 0)
		r = put_files(etc, browsers, ARRAY_SIZE(browsers), e);
	if (r < 0)
		return r;
	castore_add_system(&ca);
	r = rootfs_put_file(etc, "ssl/certs/ca-certificates.crt", str_text(&ca), ca.len, e);
	if (r == 0 && symlinkat("ca-certificates.crt", etc, "ssl/certs/ca-bundle.crt") < 0)
		r = err_errno(e, errno, "cannot fill the box's /etc");
	if (r == 0 && (r = rootfs_seal(etc)) < 0)
		r = err_errno(e, -r, "cannot make the box's /etc read-only");
	return r;
}
