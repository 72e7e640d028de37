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
init=/init
read -r line </proc/cmdline
for word in $line; do
	case $word in
	init=*) init=${word#init=} ;;
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
# share TAG AT [OPTIONS]
share()
{
	mkdir -p "$root$2"
	mount -t 9p -o "trans=virtio,version=9p2000.L,msize=262144,cache=mmap${3:+,$3}" "$1" "$root$2" || fail "$2"
}
share igloo /igloo/host ro
share box /igloo/box
share state /igloo/state
mkdir -p "$root/nix"
mount -o bind "$root/igloo/box/nix" "$root/nix" || fail /nix
sh /folders "$root" /etc/nixos /root /var/lib /var/log || fail "what is kept"
for m in /proc /sys /dev /run; do
	mkdir -p $root$m
	mount --move $m $root$m
done
exec switch_root $root "$init"
