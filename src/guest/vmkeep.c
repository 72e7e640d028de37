/* A machine that is kept: stopped where it waits for what it is to be given, and written by QEMU into a pipe, of which
 * somebody outside of the box has the other end (kind/vm/template.h). It has nothing of any box, and QEMU never has the
 * file. */
#include "guest/vmhost_impl.h"

#include "guest/guest.h"
#include "guest/image.h"

#include <errno.h>
#include <unistd.h>

enum { LOOK_MS = 1000 };

static void ATTR_NORETURN finish(struct vmhost *h)
{
	static const char failed[] = "QEMU could not write the machine";

	if (h->monitor.kept && h->status == 0)
		vmhost_leave(0);
	if (h->monitor.not_kept)
		vmhost_say_err(h, EIO, MSG_STAGE_MACHINE, failed, sizeof(failed) - 1);
	else
		vmhost_say_ended(h);
	vmhost_leave(1);
}

void vmkeep_run(struct vmhost *h)
{
	bool asked = false;
	bool over = false;
	int r = 0;

	while (r == 0 && !h->ended && !bridge_local_ended(h->bridge)) {
		r = vmhost_step(h, LOOK_MS);
		if (!asked && h->words.stage >= VMSTAGE_PORT) {
			asked = true;
			vmqmp_keep(&h->monitor, VMHOST_STATE_FD);
			(void)close(VMHOST_STATE_FD);
		}
		if (!over && (h->monitor.kept || h->monitor.not_kept)) {
			over = true;
			vmqmp_quit(&h->monitor);
		}
		if (!h->ended)
			r = vmhost_watch(h);
	}
	finish(h);
}
