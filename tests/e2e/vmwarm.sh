#!/bin/bash
# Machines that go on from memory (--start), with the kernel package unpacked in IGLOO_TEST_KERNEL.
if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "1..1"
	echo "ok 1 - machines from memory # SKIP qemu-system-x86_64"
	exit
elif [[ -z ${IGLOO_TEST_KERNEL-} ]]; then
	echo "1..1"
	echo "ok 1 - machines from memory # SKIP an unpacked kernel package in IGLOO_TEST_KERNEL (docs/kernels.md)"
	exit
fi
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"
unset IGLOO_VM_START

mkproject project bash coreutils
vm=(igloo -v run --in vm --kernel "$IGLOO_TEST_KERNEL" --accel tcg --memory 512M --cpus 1)
cache=$XDG_CACHE_HOME/igloo/kernels
# template: its file; fails when there is not exactly one.
template() { local f=("$cache"/template-????????????????); [[ -f ${f[0]} && ${#f[@]} == 1 ]] && echo "${f[0]}"; }
none() { [[ -z $(compgen -G "$cache/template-*[0-9a-f]") ]]; }
# Nobody makes one (any more).
made() { template && flock -n "$cache/template.lock" true; }
tells=(bash -c 'cat /proc/sys/kernel/random/{boot_id,uuid}; od -An -N8 -tx8 /dev/urandom; echo "$RANDOM"; date +%s; uname -n
	echo "$(</proc/sys/kernel/osrelease)" >>~/starts; wc -l <~/starts')

says "what there is not" 125 '*lukewarm*auto*cold*warm*' "${vm[@]}" --start lukewarm -- true
says "in the environment" 125 '*auto, cold, warm*' env IGLOO_VM_START=lukewarm "${vm[@]}" -- true
says "--start is a machine's" 125 '*--start*--in vm*' igloo run --start warm -- true
ends "a sandbox takes no notice of the variable" 0 env IGLOO_VM_START=warm igloo run -- true
says "a machine that cannot" 125 '*cannot go on from memory*machines of its own*' "${vm[@]}" --nested --start warm -- true

# -- the first boots, and one is made behind it ---------------------------------------------------------

(
	umask 0
	exec "${vm[@]}" --start auto -- true
) </dev/null >"$T/first" 2>&1
is "the first" $? 0
like "boots, and says what follows" "$(<"$T/first")" '*one like it is kept in memory*its kernel starts*'
ok "it is made when that has ended" within 60 made
file=$(template)
is "and nobody else's to read" "$(stat -c %a "$file")" 600

# -- two at once from one -------------------------------------------------------------------------------

says "the next goes on" 0 '*goes on from memory: *it goes on from memory*' "${vm[@]}" -- "${tells[@]}"
one=$out
is "no other was made" "$(template)" "$file"
begin=$(date +%s)
"${vm[@]}" --name two -- "${tells[@]}" </dev/null >"$T/two" 2>"$T/two.err" &
pid=$!
says "another slot's, at the same time" 0 '*it goes on from memory*' "${vm[@]}" --slot 2 -- "${tells[@]}"
three=$out
wait $pid
is "two at once" $? 0
like "both went on" "$(<"$T/two.err")" '*it goes on from memory*'
readarray -t a <<<"$one"
readarray -t b <"$T/two"
readarray -t c <<<"$three"
for i in 0 1 2; do
	is "random numbers are each machine's own: $i" "$(printf '%s\n' "${a[i]}" "${b[i]}" "${c[i]}" | sort | uniq -d)" ""
done
is "they have names" "${a[5]} ${b[5]} ${c[5]}" "igloo igloo igloo"
for t in "${b[4]}" "${c[4]}"; do
	ok "the clock is the host's" test $((t - begin)) -ge 0 -a $((t - $(date +%s))) -le 1
done
is "each has its slot's disk" "${a[6]} ${b[6]} ${c[6]}" "1 2 1"

# -- the contract, as far as a machine shows it -----------------------------------------------------------

printf secret-value | igloo secret set TOKEN
head -c 300000 /dev/urandom >"$T/bytes"
"${vm[@]}" --secret-file TOKEN -- bash -c 'cat; cat /run/secrets/TOKEN >&2; echo x >>.git/config; df / /nix/store >file; exit 42' \
	<"$T/bytes" >"$T/got" 2>"$T/err"
is "exit status" $? 42
ok "stdin and stdout" cmp "$T/bytes" "$T/got"
like "a secret, and what is protected" "$(<"$T/err")" '*secret-value*Read-only file system*'
ok "the workspace is the host's" grep -q . file
rm -f file
is "the template is as it was" "$(template)" "$file"

# A machine that goes on holds the file, and cannot write to it.
"${vm[@]}" --detach --name holds -- sleep 1000 </dev/null >/dev/null 2>&1
box=$(igloo inspect holds | python3 -c 'import json, sys; print(json.load(sys.stdin)["supervisor"])')
qemu=$(for p in $(pgrep -P "$box"); do pgrep -P "$p" -f '^/.*qemu-system'; done | head -n 1)
if [[ $EUID == 0 ]]; then
	like "QEMU has it on a read-only mount" "$(grep ' /vm/template ' "/proc/$qemu/mountinfo")" '* /vm/template ro,*'
	says "which root cannot write to either" 1 '*Read-only*' bash -c "echo x >>/proc/$qemu/root/vm/template"
	is "by no descriptor" "$(for f in /proc/"$qemu"/fdinfo/*; do
		[[ $(readlink "/proc/$qemu/fd/${f##*/}") != *template* ]] || grep '^flags' "$f"
	done | grep -v '0[0-7]*0$')" ""
else
	skip "QEMU has it on a read-only mount" "root (nobody else may look into a process that leaves no core)"
fi
igloo stop holds >/dev/null
igloo rm holds >/dev/null

# -- what is no good ------------------------------------------------------------------------------------

# In what QEMU reads, behind the header; longer than igloo's own look at it.
printf 'XXXXXXXX' | dd of="$file" bs=1 seek=4096 conv=notrunc status=none
says "QEMU refuses it: the machine boots" 0 '*it did not go on from memory, and boots: ended with code 1*its kernel starts*' \
	"${vm[@]}" -- true
ok "and it is gone" none
# The rest is the same for everybody, and takes some starts.
if [[ $EUID == 0 ]]; then
	says "it is not made again today, and that is said" 0 '*none is kept in memory before tomorrow: ended with code 1*its kernel starts*' \
		"${vm[@]}" --start auto -- true
	ok "nor is it" none
	says "but when it is asked for" 0 '*kept in memory first*it goes on from memory*' "${vm[@]}" --start warm -- true
	truncate -s -1000000 "$(template)"
	says "one that was cut short" 0 '*its kernel starts*' env IGLOO_VM_START=auto "${vm[@]}" -- true
	ok "is made anew" within 60 made
	: >"$(template)"
	"${vm[@]}" --start warm -- true </dev/null >/dev/null 2>&1 &
	pid=$!
	ok "one that is being made" within 30 pgrep -f 'igloo-guest 3 --vm.*[-]-keep'
	kill -KILL $pid
	ok "and its maker is killed: all of it ends" within 10 bash -c "! pgrep -f 'igloo-guest 3 --vm.*[-]-keep'"
	wait $pid 2>/dev/null
	ok "nothing is left of it" none
else
	skip "what follows" "root (the same for everybody)"
fi

# -- cleaning up ----------------------------------------------------------------------------------------

like "igloo doctor" "$(igloo doctor)" '*machines in memory: *'
ok "igloo slot gc" igloo slot gc
ok "takes it" none
