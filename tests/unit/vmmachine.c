/* QEMU's arguments. That they start a machine is shown by tests/vmboot/boot.sh. */
#include "test.h"

#include "kind/vm/machine.h"

#include <errno.h>

static struct machine_port port = {.name = "igloo", .fd = 5};
static struct machine_share shares[] = {{.tag = "root", .path = "/some,where", .read_only = true},
					{.tag = "work", .path = "/w", .mapped = true}};

static struct machine_disk disk = {.serial = "slot", .fd = 6};

static struct machine example(void)
{
	return (struct machine){
		.arch = archs[0],
		.qemu = "qemu-system-x86_64",
		.cpus = 2,
		.memory_mib = 2048,
		.kernel = "/k/vmlinux",
		.initrd = "/k/initrd",
		.append = "igloo=1",
		.ports = &port,
		.n_ports = 1,
		.shares = shares,
		.n_shares = 2,
		.disks = &disk,
		.n_disks = 1,
		.netdev = "tap,fd=7",
		.console = -1,
		.monitor = 6,
	};
}

static char *words(const struct machine *m, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct str s = STR_INIT;

	if (machine_argv(m, &argv, e) < 0)
		return NULL;
	for (size_t i = 0; i < argv.n; i++)
		str_addf(&s, "%s%s", i ? " " : "", argv.v[i]);
	return str_take(&s);
}

TEST(tcg)
{
	struct machine m = example();
	_cleanup_free_ char *text = words(&m, NULL);

	CHECK_STR(text,
		  "qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none"
		  " -M q35,accel=tcg,sata=off,usb=off,smbus=off -cpu max,-la57,-vmx,-svm -smp 2 -m 2049M"
		  " -kernel /k/vmlinux -initrd /k/initrd -append quiet panic=-1 reboot=t cryptomgr.notests "
		  "no_timer_check igloo=1"
		  " -chardev socket,id=monitor,fd=6 -mon chardev=monitor,mode=control"
		  " -device virtio-serial-pci,max_ports=2 -chardev socket,id=port0,fd=5"
		  " -device virtserialport,chardev=port0,name=igloo,nr=1"
		  " -fsdev local,id=share0,multidevs=remap,security_model=none,readonly=on,path=/some,,where"
		  " -device virtio-9p-pci,fsdev=share0,mount_tag=root"
		  " -fsdev local,id=share1,multidevs=remap,security_model=mapped-xattr,path=/w"
		  " -device virtio-9p-pci,fsdev=share1,mount_tag=work"
		  " -add-fd fd=6,set=1 -blockdev driver=raw,node-name=disk0,read-only=off,discard=unmap,"
		  "detect-zeroes=unmap,file.driver=file,file.filename=/dev/fdset/1,file.locking=on,file.aio=threads"
		  " -device virtio-blk-pci,drive=disk0,serial=slot,werror=report,rerror=report"
		  " -netdev tap,fd=7,id=net0 -device virtio-net-pci,netdev=net0,romfile=");
}

TEST(kvm)
{
	struct machine m = example();
	_cleanup_free_ char *text = NULL;

	m.accel = MACHINE_KVM;
	m.mac = "52:54:00:00:00:01";
	m.sandbox = true;
	m.rng = true;
	m.name = "a,b";
	text = words(&m, NULL);
	CHECK(text && strstr(text, " -M microvm,accel=kvm,acpi=on,") && strstr(text, " -cpu host,-vmx,-svm "));
	CHECK(strstr(text, " -sandbox on,") && strstr(text, " -name guest=a,,b ") && !strstr(text, "pci,"));
	CHECK(strstr(text, " virtio-net-device,netdev=net0,mac=52:54:00:00:00:01"));
	CHECK(strstr(text, " virtio-rng-device") && strstr(text, " virtio-9p-device,"));
}

TEST(virtiofs)
{
	const struct machine_share by = {.tag = "root", .path = "/box", .virtiofsd = 4};
	struct machine m = example();
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *kvm = NULL;

	m.shares = &by;
	m.n_shares = 1;
	text = words(&m, NULL);
	CHECK(text && !strstr(text, "9p") && !strstr(text, "/box"));
	CHECK(strstr(text,
		     " -m 2049M -object memory-backend-memfd,id=memory,size=2049M,share=on -M memory-backend=memory "));
	CHECK(strstr(text, " -chardev socket,id=share0,fd=4 -device vhost-user-fs-pci,chardev=share0,tag=root,"));
	m.accel = MACHINE_KVM;
	kvm = words(&m, NULL);
	CHECK(kvm && strstr(kvm, " -device vhost-user-fs-device,chardev=share0,"));
}

TEST(refused)
{
	_cleanup_err_ struct err *e = NULL;
	struct machine m = example();

	m.cpus = 129;
	CHECK(!words(&m, &e) && err_number(e) == EINVAL && strstr(err_message(e), "129 cpus"));
	err_clear(&e);
	m = example();
	m.memory_mib = 1;
	CHECK(!words(&m, &e) && strstr(err_message(e), "1 MiB of memory"));
	err_clear(&e);
	m = example();
	shares[0].tag = "a,b";
	CHECK(!words(&m, &e) && strstr(err_message(e), "share 'a,b'"));
	shares[0].tag = "root";
}

TEST_MAIN()
