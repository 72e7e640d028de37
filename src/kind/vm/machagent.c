#include "kind/vm/machagent.h"

#include "box/spec.h"
#include "box/sshkeys.h"
#include "kind/common/setup.h"

void machagent_configure(struct str *to)
{
	str_addf(to, "mount=tmpfs agent " SSHKEYS_BOX_DIR " nosuid,nodev,noexec,mode=0700,size=64k,uid=%d,gid=%d\n",
		 BOX_UID, BOX_GID);
	str_adds(to, "agent=" SSHKEYS_BOX_SOCKET "\n");
}

void machagent_add_options(struct strv *to)
{
	strv_add(to, "--agent");
	strv_add(to, "/" MONITOR_BOX SSHKEYS_BOX_SOCKET);
}
