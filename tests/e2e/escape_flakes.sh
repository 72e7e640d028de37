#!/bin/bash
# Escape tests of hostile repositories: what a flake.nix, a flake.lock, a .git or a slot's store made by the enemy could
# make igloo do on the host. See docs/security.md.
#
# shellcheck disable=SC2010,SC2012 # names of store paths: nothing odd in them
. "$(dirname "$0")/lib.sh"

CANARY=canary$RANDOM$RANDOM
S=$T/outside
mkdir -p "$S"
echo "$CANARY" >"$S/secret"

# refuses_leak NAME: after whatever was run, the secret is in nothing that igloo or Nix wrote.
refuses_leak()
{
	local new found=
	new=$(comm -13 <(echo "$store_before") <(ls /nix/store) | sed 's|^|/nix/store/|')
	# shellcheck disable=SC2086 # store paths have no blanks
	found=$(grep -rlsF "$CANARY" "$XDG_STATE_HOME" "$XDG_CACHE_HOME" $new </dev/null | grep -v '/env/failure.log$')
	if [[ $out == *"$CANARY"* ]]; then
		fail "$1" "it was printed: $out"
	elif [[ $found ]]; then
		fail "$1" "it is in $found"
	else
		pass "$1"
	fi
}

# hostile FOLDER INPUTS OUTPUTS [SHELL_ATTRS]: a repository with such a flake; cd's into it. OUTPUTS has `let` bindings, which
# may use pkgs, bash and the inputs as `inputs`. A builder's last command is one of bash's own: Nix 2.8 kills a builder whose
# output has ended, and coreutils close theirs before they end.
hostile()
{
	mkdir -p "$T/$1" && cd "$T/$1" || exit 1
	cat >flake.nix <<END
{
  inputs.nixpkgs.url = "path:$IGLOO_E2E_PKGS";
  $2
  outputs = inputs: let
    pkgs = inputs.nixpkgs.legacyPackages.$SYSTEM;
    bash = "\${pkgs.bash}/bin/bash";
    build = name: script: derivation { inherit name; system = "$SYSTEM"; builder = bash; args = [ "-c" "\${script}; :" ];
      preferLocalBuild = true; PATH = "\${pkgs.coreutils}/bin"; };
    $3
  in {
    devShells.$SYSTEM.default = pkgs.mkShell { packages = [ pkgs.bash pkgs.coreutils ]; ${4-} };
  };
}
END
	[[ -e .git ]] || git init -q .
	# Only nixpkgs is locked, by Nix on the host, from a flake that is no enemy's.
	rm -f flake.lock
	cp "$T/base/flake.lock" .
	git add -A
}

mkproject base bash coreutils
store_before=$(ls /nix/store)
hostile control "" "good = build \"good\" ''echo built >\$out'';" "GOOD = good;"
prints "a flake of this form works when it does no harm" built igloo run -- sh -c 'cat $GOOD'

# --- reading the host by evaluation ----------------------------------------------------------------------------------

hostile leak "inputs.leak = { url = \"path:$S\"; flake = false; };" "" "LEAK = builtins.readFile \"\${inputs.leak}/secret\";"
try igloo run -- sh -c 'echo "$LEAK"; cat "$1"' - "$S/secret"
is "an input outside the workspace is refused" "$code" 125
refuses_leak "an input outside the workspace leaks nothing"

hostile leaklocked "inputs.leak = { url = \"path:$S\"; flake = false; };" "" "LEAK = builtins.readFile \"\${inputs.leak}/secret\";"
cat >flake.lock <<END
{"nodes":{"leak":{"flake":false,"locked":{"path":"$S","type":"path","narHash":"sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","lastModified":1},
"original":{"path":"$S","type":"path"}},"root":{"inputs":{"leak":"leak"}}},"root":"root","version":7}
END
git add -A
try igloo run -- sh -c 'echo "$LEAK"'
refuses_leak "a lock file that names it leaks nothing"

hostile gitleak "inputs.leak = { url = \"git+file://$S\"; flake = false; };" "" "LEAK = builtins.readFile \"\${inputs.leak}/secret\";"
git -C "$S" init -q . && git -C "$S" add -A && git -C "$S" commit -qm secret
try igloo run -- sh -c 'echo "$LEAK"'
refuses_leak "a git input outside the workspace leaks nothing"
rm -rf "$S/.git"

for expression in "builtins.readFile \"$S/secret\"" "builtins.readFile $S/secret" "builtins.path { path = $S; }" \
	"toString (builtins.filterSource (_: _: true) $S)" "builtins.toJSON (builtins.readDir \"$S\")" \
	"builtins.readFile \"\${builtins.fetchTree { type = \"path\"; path = \"$S\"; }}/secret\"" \
	"builtins.readFile (builtins.fetchurl \"file://$S/secret\")" \
	"builtins.readFile ./link" "builtins.getEnv \"HOME\" + builtins.readFile \"/proc/self/environ\"" \
	"builtins.storePath \"/nix/store/$(head -1 <<<"$store_before")\""; do
	hostile expression "" "" "LEAK = $expression;"
	ln -sf "$S/secret" link
	git add -A
	try igloo run -- sh -c 'echo "$LEAK"; cat link; cat "$LEAK/secret"'
	refuses_leak "$expression"
done

# --- building ---------------------------------------------------------------------------------------------------------

# shellcheck disable=SC2016 # for the build
attack='(cat "'$S'/secret"; echo pwned >"'$S'/pwned"; ls -a "'$S'" "'$HOME'"; cat /proc/*/environ) >$out 2>&1 || :'
# First without: what evaluation builds uses what is mounted then.
hostile ifd "" "" ""
try igloo run -- true
hostile ifd "" "ifd = build \"ifd\" ''$attack; echo '\"imported\"' >\$out'';" "IMPORTED = import ifd;"
try igloo run -- sh -c 'echo "$IMPORTED"'
is "import-from-derivation works" "$out" imported
[[ $code == 0 ]] || echo "# $err"
refuses_leak "import-from-derivation leaks nothing"
is "and writes nothing outside" "$(ls "$S")" secret

hostile nochroot "" "evil = (build \"evil\" ''$attack'') // { }; evil2 = derivation { name = \"evil2\"; system = \"$SYSTEM\"; builder = bash;
	args = [ \"-c\" ''$attack; :'' ]; __noChroot = true; preferLocalBuild = true; PATH = \"\${pkgs.coreutils}/bin\"; };" "RESULTS = [ evil evil2 ];"
try igloo run -- sh -c 'cat $RESULTS'
refuses_leak "__noChroot leaks nothing"
is "nor does it write outside" "$(ls "$S")" secret

hostile links "" "evil = build \"evil\" ''mkdir -p \$out/bin; ln -s $S/secret \$out/bin/env; ln -s $S \$out/dir; ln -s / \$out/root'';" \
	"RESULT = evil; shellHook = ''export PATH=\${evil}/bin:\$PATH'';"
try igloo run -- sh -c 'cat $RESULT/bin/env $RESULT/dir/secret $RESULT/root/etc/shadow; echo pwned >$RESULT/dir/pwned'
refuses_leak "links in a result lead nowhere"
is "and nothing is written through them" "$(ls "$S")" secret

# What igloo looks up on the host for /usr/bin/env must not tell whether a file of the host exists.
for target in "$S/secret" "$S/absent"; do
	hostile "oracle-${target##*/}" "" "evil = build \"evil\" ''mkdir -p \$out/bin; ln -s $target \$out/bin/env'';" "packages = [ evil ];"
	sed -i 's/packages = \[ pkgs.bash pkgs.coreutils \];//' flake.nix
	git add -A
	try igloo run -- sh -c '[ -L /usr/bin/env ] && case $(readlink /usr/bin/env) in *-evil/*) echo evil ;; esac'
	oracle+=("$code:$out")
done
is "a package's env that leads out of the store is looked up alike" "${oracle[0]%%:*}" 0
is "no oracle for the host's files by a package's env" "${oracle[0]}" "${oracle[1]}"

# --- terminal escapes in what igloo prints ------------------------------------------------------------------------------

hostile ansi "" "" "LEAK = throw \"a\\\\e b$(printf '\033]0;pwned\007\033[2Jz')\";"
try igloo run -- true
case $err in
*$'\033'* | *$'\007'*) fail "no escape sequences in an error of Nix's" "$(cat -v <<<"$err")" ;;
*) pass "no escape sequences in an error of Nix's" ;;
esac
try igloo run -- $'no\033]0;pwned\007such'
case $err in
*$'\033'* | *$'\007'*) fail "no escape sequences in igloo's own errors" "$(cat -v <<<"$err")" ;;
*) pass "no escape sequences in igloo's own errors" ;;
esac

# --- a slot whose store and database the enemy writes ----------------------------------------------------------------------

hostile forge "" "" ""
ends "a slot to spoil" 0 igloo run -- true
victim=$(comm -23 <(ls -d /nix/store/*-* | grep -v '\.drv$\|\.lock$' | sort) <(igloo run -- sh -c 'ls -d /nix/store/*' | sort) | head -1)
forged=/nix/store/$(printf '%032d' 1)-forged.drv
drv='Derive([("out","'$victim'","","")],[],["'$victim'"],"'$SYSTEM'","/bin/sh",[],[("name","forged"),("out","'$victim'"),("system","'$SYSTEM'")])'
ends "a forged derivation in the slot's store" 0 igloo run -- sh -c 'printf %s "$1" >"$2"' - "$drv" "$forged"
cat >flake.nix <<END
{ outputs = _: { devShells.$SYSTEM.default = { type = "derivation"; name = "forged"; drvPath = "$forged"; outPath = "$victim"; }; }; }
END
rm -f flake.lock
git add -A
try igloo run -- sh -c 'ls -d "$1"' - "$victim"
if [[ $code != 0 && ! -e $(echo "$XDG_STATE_HOME"/igloo/slots/forge-*/nix/store)/${victim##*/} ]]; then
	pass "a forged derivation mounts no path of the host"
else
	fail "a forged derivation mounts no path of the host" "$code $out $err"
fi
ok "and none joined the slot's set" bash -c "! grep -qF '$victim' $XDG_STATE_HOME/igloo/slots/forge-*/host-paths"

hostile forge "" "" "AGAIN = \"1\";"
igloo run -- sh -c 'rm -rf '"$forged"'; mkfifo '"$forged" 2>/dev/null
cat >flake.nix <<END
{ outputs = _: { devShells.$SYSTEM.default = { type = "derivation"; name = "forged"; drvPath = "$forged"; outPath = "$victim"; }; }; }
END
git add -A
try timeout 60 igloo run -- true
is "a FIFO for a derivation does not hang igloo" "$code" 125

hostile gcroots "" "" ""
ends "a slot to spoil again" 0 igloo run -- true
igloo run -- sh -c 'cd /nix/var/nix && rm -rf gcroots/igloo && ln -s "$1" gcroots/igloo; rm -rf profiles; ln -s "$1" profiles' - "$S"
hostile gcroots "" "" "AGAIN = \"1\";"
try igloo run -- true
is "links in the slot's /nix/var are not followed" "$(ls "$S")" secret
cd "$T/control" || exit 1
out=$(igloo run -- sh -c 'find / -name "*.record" -o -name host-paths -o -name repository 2>/dev/null; ls -A /nix /home')
is "a box sees neither records nor the slot's set" "$out" "/home:
igloo

/nix:
store
var"

# --- flake.lock and flake.nix that are no files ----------------------------------------------------------------------------

hostile fifolock "" "" ""
rm -f flake.lock
mkfifo flake.lock
try timeout 60 igloo run -- true
if [[ $code != 124 && $code != 137 ]]; then pass "a FIFO for flake.lock does not hang igloo"; else fail "a FIFO for flake.lock does not hang igloo" "$code"; fi
rm flake.lock
ln -s "$S/secret" flake.lock
git add -A
try igloo run -- true
out+=$err
refuses_leak "a link for flake.lock leaks nothing"
rm -f flake.lock flake.nix
ln -s "$S/secret" flake.nix
git add -A
try igloo run -- true
out+=$err
refuses_leak "a link for flake.nix leaks nothing"

# --- .git --------------------------------------------------------------------------------------------------------------------

# Everything in .git/config and .gitattributes that makes git run a program.
hostile config "" "" ""
git -c user.name=x -c user.email=x@x commit -qm x
cat >"$T/canary" <<END
#!/bin/sh
echo "\$0 \$*" >>"$T/executed"
cat
END
chmod +x "$T/canary"
for key in core.fsmonitor core.pager core.editor core.sshCommand core.askPass core.gitProxy core.alternateRefsCommand gpg.program \
	diff.external diff.x.textconv diff.x.command filter.x.clean filter.x.smudge filter.x.process merge.x.driver \
	credential.helper uploadpack.packObjectsHook sequence.editor pager.ls-files pager.status pager.rev-parse alias.ls-files; do
	git config "$key" "$T/canary"
done
git config filter.x.required true
git config core.hooksPath "$T/hooks"
git config core.worktree "$PWD"
mkdir "$T/hooks"
for hook in post-index-change pre-commit post-checkout reference-transaction fsmonitor-watchman; do
	cp "$T/canary" "$T/hooks/$hook"
	cp "$T/canary" ".git/hooks/$hook"
done
echo '* filter=x diff=x merge=x' >.gitattributes
cp .gitattributes .git/info/attributes
echo change >>flake.nix.txt
GIT_CONFIG_COUNT=0 git -c core.fsmonitor=false -c filter.x.clean=cat -c filter.x.process= -c filter.x.required=false \
	-c core.hooksPath=/dev/null add -A 2>/dev/null
echo "# dirty" >>flake.nix
rm -f "$T/executed"
igloo run -- true >/dev/null 2>&1
igloo run -- true >/dev/null 2>&1
is "igloo's own git runs nothing that a repository's config names" "$(cat "$T/executed" 2>/dev/null)" ""

# A .git that names another repository: its objects, and its slot, are not this one's to have.
mkdir -p "$T/private" && cd "$T/private" && git init -q . && echo "$CANARY" >code && flake bash coreutils >flake.nix && cp "$T/base/flake.lock" . && git add -A &&
	git commit -qm private
slot_of() { basename "$(echo "$XDG_STATE_HOME/igloo/slots/$1-"*)"; }
igloo run -- true
for how in gitdir commondir link worktree; do
	hostile "borrow-$how" "" "evil = build \"evil\" ''[ -e $T/private/.git/HEAD ] && echo seen >\$out || echo unseen >\$out'';" \
		"SEEN = builtins.readFile evil;"
	mv .git own
	case $how in
	gitdir) echo "gitdir: $T/private/.git" >.git ;;
	commondir)
		cp -r own fake
		echo "$T/private/.git" >fake/commondir
		echo "gitdir: ./fake" >.git
		;;
	link) ln -s "$T/private/.git" .git ;;
	worktree)
		[[ -e $T/tree ]] || git -C "$T/private" worktree add -q "$T/tree" 2>/dev/null
		echo "gitdir: $T/private/.git/worktrees/tree" >.git
		;;
	esac
	try igloo run -- sh -c 'echo "$SEEN"; touch /home/igloo/visited'
	if [[ $out != *seen* || $out == *unseen* ]] && [[ ! -e $XDG_STATE_HOME/igloo/slots/$(slot_of private)/home/visited ]]; then
		pass "a .git that names another repository ($how) is refused"
	else
		fail "a .git that names another repository ($how) is refused" "out: $out; in the other's slot: $(ls "$XDG_STATE_HOME/igloo/slots/$(slot_of private)/home")"
	fi
	rm -f "$XDG_STATE_HOME/igloo/slots/$(slot_of private)/home/visited"
done
# The true worktree still works.
cd "$T/tree" && try igloo run -- true
is "a real worktree is one" "$code" 0
