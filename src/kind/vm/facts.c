#include "kind/vm/facts.h"

#include "kind/vm/accel.h"
#include "kind/vm/qemu.h"

static void add_qemu(struct probe_facts *facts)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *qemu = NULL;
	int r = qemu_find(&qemu, &e);
	struct probe_fact *fact = probe_add(facts, "qemu", "QEMU", "%s", r < 0 ? "" : qemu);

	if (r == 0)
		return;
	probe_lacks(fact, PROBE_NO, "%s; needed for boxes of kind vm only", err_message(e));
	probe_fix(fact, QEMU_HINT);
}

static void add_accel(struct probe_facts *facts)
{
	_cleanup_accel_verdict_ struct accel_verdict v = {0};
	struct probe_fact *fact;

	accel_probe("/dev/kvm", -1, &v);
	fact = probe_add(facts, "accel", "machines",
			 v.usable ? "by KVM: a loop of 100 000 rounds takes %ld us"
				  : "emulated (TCG): slow, and no security boundary of their own",
			 v.loop_us);
	if (!v.usable)
		probe_lacks(fact, PROBE_PARTLY, "%s", v.why);
}

void vm_facts(struct probe_facts *facts)
{
	add_qemu(facts);
	add_accel(facts);
}
