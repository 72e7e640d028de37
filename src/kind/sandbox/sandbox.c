#include "kind/sandbox/sandbox.h"

#include "kind/common/life.h"
#include "kind/common/running.h"
#include "kind/common/view.h"

static int sandbox_start(struct kind_box *box, struct err **e)
{
	return life_start(box, NULL, e);
}

const struct kind kind_sandbox = {
	.name = "sandbox",
	.prepare = life_prepare,
	.start = sandbox_start,
	.stop = life_stop,
	.destroy = life_destroy,
	.extend = running_extend,
	.repin = running_repin,
	.open_gateway = running_open_gateway,
	.widen_gateway = running_widen_gateway,
	.sweep = view_sweep,
	.drop = view_drop,
};
