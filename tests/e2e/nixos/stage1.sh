#!/bin/sh
# Stage 1 of the hand-made system: what NixOS' does with the file systems that nix/nixos/module.nix declares.
export PATH=/bin
busybox mount -t proc proc /proc
busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs -o mode=0755 tmpfs /run
for m in /modules/*.ko; do
	insmod "$m" || echo "stage 1: $m" >/dev/kmsg
done
init=/init forget=
read -r line </proc/cmdline
for word in $line; do
	case $word in
	init=*) init=${word#init=} ;;
	igloo.forget) forget=1 ;;
	esac
done

fail()
{
	echo "stage 1: cannot mount $1" >/dev/kmsg
	poweroff -f
}
root=/mnt-root
mkdir $root
mount -t tmpfs -o mode=0755 tmpfs $root || fail /
# share TAG AT [OPTIONS] / bind FROM AT
share()
{
	mkdir -p "$root$2"
	mount -t 9p -o "trans=virtio,version=9p2000.L,msize=262144,cache=mmap${3:+,$3}" "$1" "$root$2" || fail "$2"
}
bind()
{
	mkdir -p "$root$1" "$root$2"
	mount -o bind "$root$1" "$root$2" || fail "$2"
}
share igloo /igloo/host ro
share box /igloo/box
if [ "$forget" ]; then
	share state /igloo/state ro
else
	share state /igloo/state
fi
# memory AT: what is written there is gone with the machine.
memory()
{
	mkdir -p "$root/igloo/memory$1/upper" "$root/igloo/memory$1/work"
	mount -t overlay -o "lowerdir=$root$1,upperdir=$root/igloo/memory$1/upper,workdir=$root/igloo/memory$1/work" overlay "$root$1" || fail "$1"
}
[ ! "$forget" ] || memory /igloo/state
bind /igloo/box/nix /nix
[ ! "$forget" ] || memory /nix
for kept in /etc/nixos /var/lib /var/log /root; do
	bind /igloo/state$kept $kept
done
for m in /proc /sys /dev /run; do
	mkdir -p $root$m
	mount --move $m $root$m
done
exec switch_root $root "$init"
