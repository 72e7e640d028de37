#!/bin/bash
# A box's SSH agent (--ssh-agent, --ssh-key): with a real ssh-agent on the host, and ssh, git and the agent's own protocol
# in boxes, against a real sshd in the network of network/world.sh.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
[[ ${NETWORK_WORLD-} ]] || NETWORK_SERVICES=1 exec "$here/network/world.sh" bash "$here/sshagent.sh"
. "$here/lib.sh"
. "$here/network/lib.sh"

mkproject project bash coreutils git python3 openssh-client
ends "the environment is resolved" 0 igloo run -- true
PATH+=:$(igloo run -- bash -c 'dirname "$(readlink -f "$(command -v ssh-agent)")"')
cp "$here/network/agentprobe.py" "$W/ssh/known_hosts" "$P/"

# -- keys and their agent --------------------------------------------------------------------------------------------------

keys=$T/keys
mkdir "$keys"
install -m 600 "$W/ssh/client" "$keys/client"
cp "$W/ssh/client.pub" "$keys/client.pub"
ssh-keygen -q -t ed25519 -N '' -C other -f "$keys/other"
ssh-keygen -q -t rsa -b 2048 -N '' -C "two words" -f "$keys/rsa"
ssh-keygen -q -t ecdsa -N '' -C absent -f "$keys/absent"
cp "$keys/client.pub" "$P/mine.pub"
cp "$keys/other.pub" "$P/other.pub"
fingerprint() { ssh-keygen -lf "$keys/$1.pub" | cut -d ' ' -f 2; }
agent_at=$T/agent/socket
mkdir -m 700 "$T/agent"
start_agent()
{
	rm -f "$agent_at"
	eval "$(ssh-agent -a "$agent_at")" >/dev/null
	ssh-add -q "$keys/client" "$keys/other" "$keys/rsa"
}

unset SSH_AUTH_SOCK SSH_AGENT_PID
says "no agent" 125 "*no SSH agent: SSH_AUTH_SOCK is not set*" igloo run --ssh-agent -- true
says "no agent, --ssh-key" 125 "*SSH_AUTH_SOCK*" igloo run --ssh-key all -- true
says "an agent that is not there" 125 "*'$T/nowhere' of SSH_AUTH_SOCK*No such file*ssh-add -l*" \
	env SSH_AUTH_SOCK="$T/nowhere" igloo run --ssh-key all -- true
says "a file" 125 "*does not answer*" env SSH_AUTH_SOCK="$keys/client" igloo run --ssh-key all -- true
eval "$(ssh-agent -a "$agent_at")" >/dev/null
says "one without keys" 125 "*no keys, or is locked*" igloo run --ssh-key all -- true
kill "$SSH_AGENT_PID"
python3 - "$T/silent" "$T/liar" <<'END' &
import os, socket, sys, threading
def listen(path):
    s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen(8); return s
silent, liar = map(listen, sys.argv[1:])
def lie():
    while True:
        s, _ = liar.accept()
        s.recv(64); s.sendall(b"\0\0\0\x09\x0c\xff\xff\xff\xff\0\0\0\0"); s.close()
threading.Thread(target=lie, daemon=True).start()
threading.Event().wait(600)
END
within 10 test -S "$T/liar"
says "one that is silent" 125 "*'$T/silent' does not answer*timed out*" env SSH_AUTH_SOCK="$T/silent" igloo run --ssh-key all -- true
says "one that lies" 125 "*'$T/liar' does not answer*" env SSH_AUTH_SOCK="$T/liar" igloo run --ssh-key all -- true

start_agent
says "no terminal to ask at" 125 "*no terminal*$(fingerprint client) client*--ssh-key SHA256:*--ssh-key all*" igloo run --ssh-agent -- true
says "a key that the agent has not" 125 "*no key 'nosuch'*$(fingerprint other) other*" igloo run --ssh-key nosuch -- true
says "a file of one" 125 "*no key '*/absent.pub'*" igloo run --ssh-key "$keys/absent.pub" -- true
says "a private key" 125 "*not the file of a public key*.pub*" igloo run --ssh-key "$keys/client" -- true
says "an empty one" 125 "*no key ''*" igloo run --ssh-key "" -- true
says "a share that has the agent itself" 125 "*socket*lies in '$T/agent'*" igloo run --ssh-key client --share-ro "$T/agent" -- true

# -- which keys a box has ---------------------------------------------------------------------------------------------------

list() { igloo run "$@" -- ssh-add -l 2>/dev/null | cut -d ' ' -f 2 | sort | xargs; }
sorted() { printf '%s\n' "$@" | sort | xargs; }
client=$(fingerprint client)
is "without --ssh-agent none" "$(igloo run -- bash -c 'echo "${SSH_AUTH_SOCK-none}"; ls /run')" $'none\nuser'
is "by comment" "$(list --ssh-key client)" "$client"
is "by a comment of words" "$(list --ssh-agent --ssh-key "two words")" "$(fingerprint rsa)"
is "by fingerprint" "$(list --ssh-key "$client")" "$client"
is "by file, and another" "$(list --ssh-key "$keys/other.pub" --ssh-key client --ssh-key "$client")" \
	"$(sorted "$client" "$(fingerprint other)")"
is "all" "$(list --ssh-agent --ssh-key all)" "$(sorted "$client" "$(fingerprint other)" "$(fingerprint rsa)")"
is "offline, too" "$(list --offline --ssh-key client)" "$client"
prints "its socket is the box's user's" "700 igloo 600 igloo socket" igloo run --ssh-key client -- \
	bash -c 'stat -c "%a %U" /run/ssh-agent | xargs echo -n; stat -c " %a %U %F" "$SSH_AUTH_SOCK"'
prints "--env is stronger" /elsewhere igloo run --ssh-key client --env SSH_AUTH_SOCK=/elsewhere -- printenv SSH_AUTH_SOCK

ln -s agent/socket "$T/link"
is "an agent behind a link" "$(SSH_AUTH_SOCK=$T/link list --ssh-key client)" "$client"
is "by a path from here" "$(SSH_AUTH_SOCK=../link list --ssh-key client)" "$client"
says "a share that has what the link leads to" 125 "*'$T/link' lies in '$T/agent'*" \
	env SSH_AUTH_SOCK="$T/link" igloo run --ssh-key client --share-rw "$T/agent" -- true

# asked ANSWER...: at a terminal, the answers to the questions; prints what the terminal showed.
asked()
{
	python3 - "$@" <<'END'
import os, pty, select, subprocess, sys
master, slave = pty.openpty()
child = subprocess.Popen(["igloo", "run", "--ssh-agent", "--", "ssh-add", "-l"], stdin=slave, stdout=slave, stderr=slave,
                         start_new_session=True, preexec_fn=lambda: __import__("fcntl").ioctl(0, 0x540E, 0))
os.close(slave)
shown = b""
for answer in sys.argv[1:]:
    seen = len(shown)
    while b"[y/N] " not in shown[seen:] and select.select([master], [], [], 30)[0]:
        shown += os.read(master, 4096)
    os.write(master, answer.encode() + b"\n")
while select.select([master], [], [], 30)[0]:
    try:
        shown += os.read(master, 4096)
    except OSError:
        break
print(child.wait(20), shown.decode().replace("\r", ""))
END
}
out=$(asked n y "")
like "each key is asked for" "$out" "0 *may the box sign with the SSH key $client client?*other?*two words?*"
is "what was answered yes to is there" "$(tail -n +2 <<<"$out" | grep -c '^[0-9]* SHA256:')" 1
like "it alone" "$out" "*256 $(fingerprint other) other*"
like "none" "$(asked n n n)" "125 *may use no key*"

# -- ssh and git -------------------------------------------------------------------------------------------------------------

ssh="ssh -o UserKnownHostsFile=$P/known_hosts -o StrictHostKeyChecking=yes -o BatchMode=yes -o ConnectTimeout=10"
box_options+=(--env "GIT_SSH_COMMAND=$ssh" --env GIT_CONFIG_GLOBAL=/dev/null --env GIT_AUTHOR_NAME=t
	--env GIT_AUTHOR_EMAIL=t@example.org --env GIT_COMMITTER_NAME=t --env GIT_COMMITTER_EMAIL=t@example.org)
in_box() { igloo run "${box_options[@]}" --allow code.test:22 "$@"; }
# shellcheck disable=SC2016 # the box's
push='cd /tmp && git clone -q git@code.test:repo.git work && cd work && cat hello && echo more >hello &&
	git commit -qam agent && git push -q origin HEAD:refs/heads/by-agent && echo pushed'
prints "git clone and push" $'from afar\npushed' in_box --ssh-key client -- bash -c "$push"
is "which arrived" "$(git -c safe.directory='*' -C "$W/git/repo.git" log -1 --format=%s by-agent 2>&1)" agent
like "the end says what was signed" "$err" "*the box made 2 signatures with the SSH key $client client*"
prints "ssh" "hello from afar" in_box --ssh-key "$client" -- bash -c "$ssh git@code.test echo hello from afar"
ssh-keygen -F code.test -f "$P/known_hosts" | igloo run -- sh -c 'mkdir -p -m 700 ~/.ssh && cat >>~/.ssh/known_hosts'
prints "a host's key that the box was given" "known" in_box --ssh-key client -- ssh -o StrictHostKeyChecking=yes -o BatchMode=yes \
	-o ConnectTimeout=10 git@code.test echo known
says "with another key: no" 255 "*Permission denied*" in_box --ssh-key other -- bash -c "$ssh git@code.test true"
says "nor to another host" 255 "*closed.test*" in_box --ssh-key client -- bash -c "$ssh git@closed.test true"
# shellcheck disable=SC2016 # the box's
prints "git signs, offline" good igloo run "${box_options[@]}" --offline --ssh-key client -- bash -c '
	cd /tmp && git init -q signed && cd signed && echo "t@example.org $(cut -d " " -f 1,2 "$1/mine.pub")" >/tmp/signers &&
	git config gpg.format ssh && git config user.signingkey "$1/mine.pub" && git config gpg.ssh.allowedSignersFile /tmp/signers &&
	git commit -q --allow-empty -S -m signed && git verify-commit HEAD 2>/dev/null && echo good' - "$P"
try igloo --json run "${box_options[@]}" --ssh-key client -- bash -c 'ssh-add -T '"$P"'/mine.pub'
like "as JSON" "$err" "*\"fingerprint\":\"$client\"*\"signatures\":1*\"igloo.ssh-keys/1\"*"

# -- the protocol ------------------------------------------------------------------------------------------------------------

igloo run "${box_options[@]}" --ssh-key client -- python3 "$P/agentprobe.py" "$P" >"$T/out" 2>"$T/err" </dev/null
results protocol "$T/out"
is "the agent has its keys" "$(ssh-add -l | wc -l)" 3

# -- in a machine, whose kernel has a socket of its own ----------------------------------------------------------------------

if [[ $EUID != 0 ]]; then
	skip "in a machine" "root (one that starts is enough)"
elif ! command -v qemu-system-x86_64 >/dev/null || [[ -z ${IGLOO_TEST_KERNEL-} ]]; then
	skip "in a machine" "qemu-system-x86_64 and an unpacked kernel package in IGLOO_TEST_KERNEL (docs/kernels.md)"
else
	machine=(--in vm --kernel "$IGLOO_TEST_KERNEL" --accel tcg --memory 512M --cpus 1 --overlay)
	# shellcheck disable=SC2016 # the box's
	inside='stat -c "%a %U %F" /run/ssh-agent "$SSH_AUTH_SOCK"; ssh-add -l | cut -d " " -f 2
		for i in {1..20}; do ssh-add -l & done | wc -l; eval "$1"; python3 "$2/agentprobe.py" "$2"'
	# A machine has a folder where it is told to.
	igloo run "${box_options[@]/#"$P"/"$P:$P"}" "${machine[@]}" --ssh-key client --allow code.test:22 -- \
		bash -c "$inside" - "${push//by-agent/by-machine}" "$P" >"$T/machine" 2>"$T/err" </dev/null
	sed 1,6d "$T/machine" >"$T/probed"
	is "a machine: the socket, the key, many at once, git" "$(head -n 6 "$T/machine")" "700 igloo directory
600 igloo socket
$client
20
from afar
pushed"
	like "and what was signed is told" "$(<"$T/err")" "*signatures with the SSH key $client client*"
	results "the protocol in a machine" "$T/probed"
fi
is "the agent still has its keys" "$(ssh-add -l | wc -l)" 3

# -- certificates, and keys for one destination -------------------------------------------------------------------------------

ssh-keygen -q -t ed25519 -N '' -C ca -f "$keys/ca"
for key in client rsa; do
	ssh-keygen -q -s "$keys/ca" -I "test" -n git "$keys/$key.pub"
	ssh-add -q "$keys/$key"
done
is "a key's certificate comes with it" "$(igloo run --ssh-key client -- ssh-add -L | cut -d ' ' -f 1 | sort | xargs)" \
	"ssh-ed25519 ssh-ed25519-cert-v01@openssh.com"
is "and is named by it" "$(igloo run --ssh-key "$keys/rsa-cert.pub" -- ssh-add -L | cut -d ' ' -f 1 | sort | xargs)" \
	"ssh-rsa ssh-rsa-cert-v01@openssh.com"
prints "both sign" 2 igloo run --ssh-key "two words" -- bash -c 'ssh-add -L >/tmp/k && while read -r k; do
	echo "$k" >/tmp/k.pub && ssh-add -T /tmp/k.pub </dev/null >&2 && echo; done </tmp/k | wc -l'
ssh-add -q -D
sed 's/^code.test,closed.test/code.test/' "$P/known_hosts" >"$T/known"
rm "$keys"/*-cert.pub
if ssh-add -q -H "$T/known" -h git@code.test "$keys/client" 2>/dev/null; then
	prints "a key for one destination signs in there" hello in_box --ssh-key client -- bash -c "$ssh git@code.test echo hello"
	is "and nowhere else" "$(in_box --ssh-key client -- bash -c "ssh-add -T $P/mine.pub" >/dev/null 2>&1; echo $?)" 1
else
	skip "a key for one destination" "ssh-add -h (OpenSSH 8.9)"
fi
kill "$SSH_AGENT_PID"

# -- a box that stays ---------------------------------------------------------------------------------------------------------

start_agent
box=agent-$$
ok "a detached box" igloo run --detach --name $box "${box_options[@]}" --allow code.test:22 --ssh-key client -- sleep 600
signatures() { igloo inspect $box | python3 -c 'import json, sys; print([(k["comment"], k["signatures"]) for k in json.load(sys.stdin)["sshKeys"]])'; }
is "inspect names the key" "$(signatures)" "[('client', 0)]"
prints "exec has it" "hello" igloo exec $box -- bash -c "$ssh git@code.test echo hello"
ok "inspect counts" within 10 bash -c "igloo inspect $box | grep -q '\"signatures\": *1[,}]'"
supervisor=$(igloo inspect $box | python3 -c 'import json, sys; print(json.load(sys.stdin)["supervisor"])')
proxy=$(pgrep -P "$supervisor" -x igloo-ssh-agent)
is "between them is a process without privileges, and with a filter" \
	"$(grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):' "/proc/$proxy/status" | tr -d '\t\n')" \
	"CapPrm:0000000000000000CapEff:0000000000000000CapBnd:0000000000000000NoNewPrivs:1Seccomp:2"
is "without its caller's variables" "$({ tr -d "\0" <"/proc/$proxy/environ"; } 2>/dev/null | wc -c)" 0
kill -KILL "$proxy"
prints "its end is not the box's" "256 $client client (ED25519)" igloo exec $box -- ssh-add -l
prints "more signatures" "" igloo exec $box -- ssh-add -T "$P/mine.pub"
ok "count on" within 10 bash -c "igloo inspect $box | grep -q '\"signatures\": *2[,}]'"
igloo exec $box -- bash -c 'python3 -c "
import os, socket, time
s = socket.socket(socket.AF_UNIX); s.connect(os.environ[\"SSH_AUTH_SOCK\"])
s.sendall(b\"\0\0\0\1\x0b\"); print(len(s.recv(4096)) > 9, flush=True)
while not os.path.exists(\"/tmp/agent-ended\"): time.sleep(0.05)
s.sendall(b\"\0\0\0\1\x0b\"); print(s.recv(4096), flush=True)"' >"$T/open" 2>&1 &
open=$!
within 10 grep -q True "$T/open"
kill "$SSH_AGENT_PID"
within 10 bash -c "! kill -0 $SSH_AGENT_PID"
says "when the agent has ended, a failure" 1 "*agent refused operation*" igloo exec $box -- ssh-add -l
igloo exec $box -- touch /tmp/agent-ended
wait $open
is "for who was connected, too" "$(tail -n 1 "$T/open")" "b'\\x00\\x00\\x00\\x01\\x05'"
start_agent
prints "another at its place serves again" "256 $client client (ED25519)" igloo exec $box -- ssh-add -l
kill -STOP "$SSH_AGENT_PID"
igloo exec $box -- python3 -c '
import os, socket
def connect():
    s = socket.socket(socket.AF_UNIX); s.connect(os.environ["SSH_AUTH_SOCK"]); return s
print("begun", flush=True)
for _ in range(300):
    connect().close()
s = connect(); s.sendall(b"\0\0\0\1\x0b"); print(s.recv(5)[4], flush=True)' >"$T/flood" 2>&1 &
flood=$!
within 10 grep -q begun "$T/flood"
sleep 0.5
prints "an agent that stands still holds up nothing else" alive igloo exec $box -- echo alive
kill -CONT "$SSH_AGENT_PID"
wait $flood
is "and answers later" "$(<"$T/flood")" $'begun\n12'
ok "it stops" igloo stop $box
is "and what it signed is kept" "$(signatures)" "[('client', 2)]"
igloo rm $box >/dev/null

ok "another one" igloo run --detach --name $box --ssh-key client -- sleep 600
prints "which uses it" "256 $client client (ED25519)" igloo exec $box -- ssh-add -l
supervisor=$(igloo inspect $box | python3 -c 'import json, sys; print(json.load(sys.stdin)["supervisor"])')
proxy=$(pgrep -P "$supervisor" -x igloo-ssh-agent)
kill -KILL "$supervisor"
ok "a killed supervisor takes the process between along" within 5 bash -c "! kill -0 $proxy"
igloo rm $box >/dev/null
kill "$SSH_AGENT_PID"
