#!/bin/bash
# What a flake asks for, in its output `igloo`: granted on the command line, before, or at a terminal; else no box starts.
. "$(dirname "$0")/lib.sh"

asks() # ATTRIBUTES: what the flake asks for from now on
{
	printf '{ %s }\n' "$1" >requests.nix
	git add -A
}
# box [OPTION...]: what a box has: its kept state's hosts and limits, in one line
box()
{
	igloo run "$@" -d --name seen -- sleep 100 </dev/null >/dev/null || return 1
	igloo inspect seen | python3 -c '
import json, sys
j = json.load(sys.stdin)
l = j["limits"]
print(*(j.get("requested") or {}).get("allow", []), l["timeoutMs"], *[s["name"] for s in j["secrets"]])'
	igloo stop seen >/dev/null 2>&1
	igloo rm seen >/dev/null 2>&1
}
# at_terminal ANSWER COMMAND...: types the answer to the question; sets code and out. "-": there must be no question.
at_terminal()
{
	out=$(python3 -c '
import pexpect, sys
answer, command = sys.argv[1], sys.argv[2:]
child = pexpect.spawn(command[0], command[1:], timeout=60, encoding="utf-8", dimensions=(50, 160))
said = ""
if child.expect([r"\[y/N\] ", pexpect.EOF]) == 0:
    said = child.before + "[y/N] "
    if answer == "-":
        sys.exit("a question: " + said)
    child.sendline(answer)
    child.expect(pexpect.EOF)
elif answer != "-":
    sys.exit("no question: " + child.before)
child.close()
print((said + child.before).replace("\r", ""), end="")
sys.exit(child.exitstatus if child.signalstatus is None else 128 + child.signalstatus)' "$@" 2>&1)
	code=$?
}
# answers NAME ANSWER CODE PATTERN COMMAND...
answers()
{
	local name=$1 answer=$2 wanted=$3 pattern=$4
	shift 4
	at_terminal "$answer" "$@"
	# shellcheck disable=SC2053 # a pattern
	if [[ $code == "$wanted" && $out == $pattern ]]; then
		pass "$name"
	else
		fail "$name" "exit code $code (wanted $wanted): $out
wanted: $pattern"
	fi
}

mkproject project jq hello
asks ''
sed -i 's|^    devShells\.|    igloo = import ./requests.nix;\n&|' flake.nix
shells="ci = pkgs.mkShell { IN_CI = \"yes\"; };" flake hello >other.nix
grants=$XDG_CONFIG_HOME/igloo/grants

# -- nothing is asked for ----------------------------------------------------------------------------

prints "an empty set asks for nothing" hello igloo run -- echo hello
is "the record says so" "$(igloo env --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["requests"])')" '{}'

# -- without a terminal ------------------------------------------------------------------------------

asks 'allow = [ "github.com" "*.Example.org:8443" ]; timeout = "2h"; images.a = throw "not read";'
says "refused, with the options that would grant it" 125 \
	"*asks for what is not granted*reach    \*.example.org:8443 (every name below it)*reach    github.com*timeout  2h*--grant-requests*--allow '\*.example.org:8443' --allow github.com --timeout 2h*--ignore-requests*" \
	igloo run -- true
ends "and nothing is kept" 1 grep -rq requests "$grants"
prints "--ignore-requests" hello igloo run --ignore-requests -- echo hello
is "gives nothing" "$(box --ignore-requests)" "0"
is "--grant-requests" "$(box --grant-requests)" "*.example.org:8443 github.com 7200000"
says "for that box alone" 125 '*not granted*' igloo run -- true
prints "one by one" hello igloo run --allow '*.example.org:8443' --allow github.com --timeout 2h -- echo hello
says "one is missing" 125 '*--grant-requests*one by one: --allow github.com?hint*' igloo run --allow '*.example.org:8443' --timeout 1h -- true
says "both options" 125 '*--ignore-requests*' igloo run --grant-requests --ignore-requests -- true
ok "igloo allow" igloo allow github.com
says "counts too" 125 "*one by one: --allow '\*.example.org:8443' --timeout 2h?hint*" igloo run -- true
says "--offline needs no hosts" 125 "*one by one: --timeout 2h?hint*" igloo run --offline -- true
ok "igloo deny" igloo deny github.com
try igloo env
like "igloo env tells" "$out" '*requests   reach    github.com*requests   timeout  2h*'

# -- what makes no sense -----------------------------------------------------------------------------

asks 'allow = "github.com";'
says "a wrong type" 125 "*(its output 'igloo')*allow*--ignore-requests*" igloo run -- true
prints "can be ignored" hello igloo run --ignore-requests -- echo hello
try igloo env
like "igloo env says it" "$out" "*requests *allow*"
asks 'allow = [ "a b" ];'
says "an entry" 125 "*'allow', entry 1: *" igloo run --grant-requests -- true
asks 'allow = builtins.genList (i: "h${toString i}.org") 3000;'
says "3000 entries" 125 '*3000 entries, more than 64*' igloo run --grant-requests -- true
asks 'memory = builtins.concatStringsSep "" (builtins.genList (_: "0123456789abcdef") 10000);'
says "160 KB" 125 '*larger than 64 KiB*' igloo run -- true
asks 'allow = throw "thrown by me";'
says "an evaluation that fails" 125 '*thrown by me*' igloo run -- true
asks 'kind = "castle";'
says "a kind that is not there" 125 "*of kind 'castle', which this igloo does not have*--in sandbox*" igloo run -- true
prints "the user's choice" hello igloo run --in sandbox -- echo hello
asks 'later = x: x; "odd\n" = 1;'
says "members of later versions" 0 '*does not know: later, odd\\x0a*' igloo run -- true
asks 'secrets = [ "NO_SUCH" ];'
says "a secret that is not there" 125 "*the flake asks for a secret*NO_SUCH*igloo secret set NO_SUCH*" igloo run --grant-requests -- true

# -- where it is written -----------------------------------------------------------------------------

cp flake.nix asking.nix
cp other.nix flake.nix
sed -i 's|^    devShells\.|    ${"ig" + "loo"} = import ./requests.nix;\n&|' flake.nix
asks 'allow = [ "github.com" ]; shell = "ci";'
ok "a flake.nix without the word asks for nothing" igloo run -- true
echo '# igloo: see elsewhere' >>flake.nix
git add -A
says "in a comment it is enough" 125 '*--allow github.com*' igloo run -- true
sed 's|= import ./requests.nix|= null|' asking.nix >flake.nix
prints "null is nothing" hello igloo run -- echo hello
sed 's|= import ./requests.nix|= "text"|' asking.nix >flake.nix
says "a text" 125 '*no set of attributes*' igloo run -- true
sed '/igloo = /d' asking.nix >flake.nix
echo '# igloo' >>flake.nix
prints "the word alone" hello igloo run -- echo hello

# -- a shell, secrets, ports -------------------------------------------------------------------------

cp other.nix flake.nix
sed -i 's|^    devShells\.|    igloo = import ./requests.nix;\n&|' flake.nix
asks 'shell = "ci";'
prints "the shell that it asks for" yes igloo run -- bash -c 'echo $IN_CI'
prints "again, from the record" yes igloo run -- bash -c 'echo $IN_CI'
like "it is not evaluated again" "$(igloo env --why)" 'nothing has changed*'
prints "the user's choice" "" igloo run --shell default -- bash -c 'echo $IN_CI'
prints "and back" yes igloo run -- bash -c 'echo $IN_CI'
printf value | igloo secret set TOKEN
asks 'secrets = [ "TOKEN" ];'
says "a secret" 125 '*--secret TOKEN*' igloo run -- true
prints "granted" value igloo run --grant-requests -- bash -c 'echo $TOKEN'
prints "given" value igloo run --secret TOKEN -- bash -c 'echo $TOKEN'
prints "given in another way" "none value" igloo run --secret-file TOKEN -- bash -c 'echo ${TOKEN-none} $(</run/secrets/TOKEN)'
asks 'ports = [ 38123 ];'
says "a port" 125 '*-p 38123:38123*' igloo run -- true
ok "given on another port" igloo run -p 0:38123 -- true
ok "granted" igloo run --grant-requests -- true

# -- a package of the same name ----------------------------------------------------------------------

sed -i 's|^    igloo = |    packages.'"$SYSTEM"'.igloo = pkgs.hello;\n&|' flake.nix
git add -A
try igloo run -- true
like "a package igloo is no request" "$code $err" '@(0 |125 *-p 38123:38123*)'

# -- at a terminal -----------------------------------------------------------------------------------

python3 -c 'import pexpect' 2>/dev/null || {
	skip "the question" "python3-pexpect"
	exit
}
sed -i '/packages\..*\.igloo = /d' flake.nix
asks 'allow = [ "github.com" ]; timeout = "1h";'
answers "--json asks nothing" - 125 '*what is not granted*"igloo.error/1"*' igloo --json run -- echo hello
answers "no" n 125 '*the flake in * asks for*  reach    github.com*timeout  1h*Grant this*\[y/N\] n*is not granted*--ignore-requests*' igloo run -- echo hello
answers "nothing is no" '' 125 '*is not granted*' igloo run -- true
answers "so is anything else" 'yeah, why not' 125 '*is not granted*' igloo run -- true
answers "yes" y 0 '*\[y/N\] y*finished*' igloo run -- echo finished
answers "it is asked once" - 0 'finished*' igloo run -- echo finished
prints "granted without a terminal too" hello igloo run -- echo hello
try igloo allow --ls
like "igloo allow --ls" "$out" 'flake       reach    github.com*flake       timeout  1h*'
is "as JSON" "$(igloo allow --ls --json)" \
	'{"always":[],"repository":[],"requests":{"allow":["github.com"],"ports":[],"secrets":[],"timeout":"1h"},"schema":"igloo.grants/1"}'
asks 'allow = [ ]; timeout = "30m";'
prints "narrower needs no question" hello igloo run -- echo hello
is "and is what counts" "$(box)" "1800000"
asks 'allow = [ "github.com" "evil.example" ]; timeout = "1h";'
says "wider does" 125 '*one by one: --allow evil.example?hint*' igloo run -- true
answers "what is new is marked" y 0 '*more than was granted*evil.example  (new)*github.com
*Grant what is new*finished*' igloo run -- echo finished
says "another slot of the repository has the answer" 0 '*' igloo run --slot other -- true
ok "igloo deny" igloo deny evil.example
says "takes it back" 125 '*one by one: --allow evil.example?hint*' igloo run -- true
ok "igloo deny --requests" igloo deny --requests
says "takes all back" 125 '*--allow evil.example --allow github.com --timeout 1h*' igloo run -- true
asks '"x\n\e[2J\r" = null; allow = [ "a.org" ];'
at_terminal n igloo run -- true
if [[ $out == *$'\e[2J'* ]]; then fail "escapes of a member's name" "$out"; else pass "escapes of a member's name"; fi
answers "with stdin elsewhere there is no question" - 125 '*no terminal to ask at*' bash -c 'igloo run -- true </dev/null'
