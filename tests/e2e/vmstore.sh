#!/bin/bash
# A machine's store paths as an image: --in vm --store-image. Emulated machines start slowly: all that can be is tried in
# few of them.
for program in qemu-system-x86_64 mkfs.erofs; do
	if ! PATH=$PATH:/sbin:/usr/sbin command -v $program >/dev/null; then
		echo "1..1"
		echo "ok 1 - images of store paths # SKIP $program"
		exit
	fi
done
if [[ -z ${IGLOO_TEST_KERNEL-} ]]; then
	echo "1..1"
	echo "ok 1 - images of store paths # SKIP an unpacked kernel package in IGLOO_TEST_KERNEL (docs/kernels.md)"
	exit
fi
. "$(dirname "$0")/lib.sh"

mkproject project bash coreutils
vm=(igloo run --in vm --offline --accel tcg --memory 512M --cpus 1)
with=("${vm[@]}" --kernel "$IGLOO_TEST_KERNEL" --store-image)
images=$XDG_CACHE_HOME/igloo/store-images
cat >once.nix <<'END'
derivation { name = "once"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo built > $out" ]; }
END
# What a path of the environment has, all of it.
cat >sum.sh <<'END'
shopt -s globstar
for path in "${PATH%%:*}" "$(realpath "$BASH")"; do
	cd "${path%/bin*}" || exit 1
	stat -c '%n %f %Y %N' ./**
	sha256sum ./** 2>/dev/null
done | sha256sum
END
git add -A

# -- what is refused before anything starts ----------------------------------------------------------------------------

ok "an environment" igloo run --offline -- true
says "--store-image is a machine's" 125 '*--store-image*--in vm*' igloo run --store-image -- true
mkdir "$T/bin"
ln -s /usr/bin/* "$T/bin/" && rm -f "$T/bin/mkfs.erofs"
if [[ $(PATH=/sbin:/usr/sbin:/usr/local/sbin type -P mkfs.erofs) != "" ]]; then
	skip "without mkfs.erofs" "a folder of it that is not looked in anyway"
else
	says "without mkfs.erofs" 125 '*mkfs.erofs*hint:*erofs-utils*' env PATH="$(dirname "$(type -P igloo)"):$T/bin" "${with[@]}" -- true
fi
cp -rs "$(realpath "$IGLOO_TEST_KERNEL")" "$T/kernel"
find "$T/kernel" -name 'erofs.ko*' -delete
says "a kernel without erofs" 125 '*no module*erofs*' "${vm[@]}" --kernel "$T/kernel" --store-image -- true
rm -rf "$images"

# A cache on a file system that is too small.
if [[ $EUID == 0 ]] && unshare --mount true 2>/dev/null; then
	mkdir "$T/small"
	# shellcheck disable=SC2016
	says "a full file system of the cache" 125 '*image of the store*do not fit*hint:*slot gc*' unshare --mount bash -c '
		mount -t tmpfs -o size=4m tmpfs "$1" && shift && exec "$@"' - "$T/small" env XDG_CACHE_HOME="$T/small" "${with[@]}" -- true
	is "in one message" "$(grep -c '^igloo: ' <<<"$err")" 1
else
	skip "a full file system of the cache" "root, who may mount"
fi

# -- the first machine: an image is made -------------------------------------------------------------------------------

sum=$(igloo run --offline -- bash sum.sh)
echo "of a sandbox" >"$T/tmp/new"
added=$(igloo run --offline --share-ro "$T/tmp" -- nix-store --add "$T/tmp/new")
igloo -v run "${with[@]:2}" --overlay --detach --name stays -- sleep infinity >/dev/null 2>"$T/err"
is "a machine with an image" $? 0
like "which was made" "$(<"$T/err")" "*an image of * store paths was made*"
is "one" "$(find "$images" -type f | wc -l)" 1
# in_it SCRIPT: in the machine that stays.
in_it() { igloo exec stays -- bash -c "$1" 2>&1; }
is "what is in it is what is on the host" "$(in_it 'bash sum.sh')" "$sum"
# shellcheck disable=SC2016
is "it comes from the image, all else does not" "$(in_it 'stat -c "%D %Y %u" "${PATH%%:*}" '"$added"' | sort -u | wc -l
	while read -r _ at type options _; do [[ $at != /nix/store ]] || echo "$type ${options%%,lower*}"; done </proc/mounts
	read -r type _ < <(grep erofs /proc/filesystems); echo "$type"')" "2
overlay rw,nosuid,nodev,relatime
erofs"
# shellcheck disable=SC2016
is "it is valid, one can build on it and write beside it" "$(in_it '
	nix-store --check-validity $(nix-store -qR "${PATH%%/bin*}") '"$added"' && echo valid
	cat "$(nix-build --no-out-link once.nix 2>/dev/null)"
	nix-store --verify 2>&1 | grep -v "^reading\|^checking"
	rm -rf "${PATH%%/bin*}" 2>/dev/null && echo removed
	ls -d "${PATH%%/bin*}" | wc -l')" "valid
built
1"
echo "while it runs" >"$T/tmp/new"
added=$(igloo run --offline --share-ro "$T/tmp" -- nix-store --add "$T/tmp/new")
is "what comes into the slot while it runs" "$(in_it "cat $added")" "while it runs"
image=$(igloo inspect stays | sed -n 's/.*"storeImage": *"\([^"]*\)".*/\1/p')
ok "igloo inspect names it" test -f "$image"
like "igloo slot gc leaves it alone" "$(igloo slot gc)" '*images of store paths: freed 0 bytes; 1 in use*'
like "also as JSON" "$(igloo slot gc --json)" '*"storeImages":{"bytes":*,"freedBytes":0,"inUse":1}*'
ok "it is there" test -f "$image"

# -- the second: from the cache, which is damaged ------------------------------------------------------------------------

if [[ $EUID != 0 ]]; then
	skip "a damaged image, and one that is removed" "root (as anybody else it is the same, and slow)"
	exit
fi

cp "$image" "$T/image"
truncate -s 8192 "$T/image"
mv "$T/image" "$image"
try "${with[@]}" -- bash -c 'bash sum.sh; echo x >~/x; echo x >/var/tmp/x; cat "$(nix-build --no-out-link once.nix 2>/dev/null)"'
is "with a disk" "$out" "$sum"$'\n'"built"
like "a damaged image is made anew" "$err" "*damaged*made anew*"
is "the other machine has what it had" "$(in_it 'bash sum.sh')" "$sum"
igloo stop stays >/dev/null
size=$(stat -c %s "$image")
like "igloo slot gc removes it" "$(igloo slot gc)" '*images of store paths: freed * MiB'
ok "it was whole" test "$size" -gt 1000000
is "nothing is left of it" "$(find "$images" -type f)" ""
is "no mount is left" "$(grep -F "$T" /proc/self/mounts)" ""
