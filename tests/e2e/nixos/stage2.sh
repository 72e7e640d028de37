# The init of the hand-made system, behind a first line that names bash, PATH and SYSTEM: the least that NixOS' stage 2 and
# systemd do with igloo's module.
mkdir -p /bin /usr/bin /etc /tmp /run/user/1000 /home /run/wrappers/bin
chmod 1777 /tmp
chown 1000:1000 /run/user/1000
ln -sfn "$(type -P bash)" /bin/sh
ln -sfn "$(type -P env)" /usr/bin/env
ln -sfn "$SYSTEM" /run/current-system
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=0620,gid=5,ptmxmode=0666 devpts /dev/pts
printf '%s\n' root:x:0:0::/root:/bin/sh igloo:x:1000:1000::/home/igloo:/bin/sh >/etc/passwd
printf '%s\n' root:x:0: igloo:x:1000: >/etc/group
ln -sfn /etc/box/resolv.conf /etc/resolv.conf
ln -sfn /proc/self/mounts /etc/mtab
hostname=igloo
export HOME=/root
make-etc-nixos >/run/make-etc-nixos.log 2>&1
# In place of sudo: a line is a command, and its exit status comes back.
mkfifo -m 0666 /run/as-root /run/as-root-done
(while :; do
	read -r line </run/as-root && bash -c "$line" >/run/as-root.out 2>&1
	echo $? >/run/as-root-done
done) &
/igloo/host/guest --service /igloo/host/conf /igloo/box
sync
echo o >/proc/sysrq-trigger
sleep 10
