#!/bin/bash
# The command line from outside: what is made from the tables, exit codes, where messages go.
# usage: cli.sh IGLOO; prints TAP. Shells and tools that are not installed are skipped.
set -u
igloo=$1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
ln -s "$(realpath "$igloo")" "$dir/igloo"
PATH=$dir:$PATH
export XDG_STATE_HOME=$dir/state HOME=$dir
unset IGLOO_IN IGLOO_SLOT
n=0 failed=0

# ok NAME COMMAND...: passes if the command succeeds.
ok()
{
	local name=$1
	shift
	n=$((n + 1))
	if "$@" >"$dir/log" 2>&1; then
		echo "ok $n - $name"
	else
		failed=1
		echo "not ok $n - $name"
		sed 's/^/# /' "$dir/log"
	fi
}

# ok_with TOOL NAME COMMAND...: the same, skipped without the tool.
ok_with()
{
	if command -v "$1" >/dev/null; then
		ok "${@:2}"
	else
		n=$((n + 1))
		echo "ok $n - $2 # SKIP no $1"
	fi
}

# ends CODE OUT ERR ARGUMENT...: igloo ends so, and each output matches its pattern.
ends()
{
	local want=$1 out_pattern=$2 err_pattern=$3 code out err
	shift 3
	out=$(igloo "$@" 2>"$dir/err")
	code=$?
	err=$(<"$dir/err")
	echo "exit $code, stdout: $out, stderr: $err"
	# shellcheck disable=SC2053 # patterns
	[[ $code == "$want" && $out == $out_pattern && $err == $err_pattern ]]
}

commands=$(igloo help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z ]*[a-z]\)  .*/\1/p')

all_have_help()
{
	[[ -n $commands ]] || return 1
	while read -r -a words; do
		ends 0 "Usage: igloo ${words[*]} *" '' "${words[@]}" --help || return 1
		ends 0 "Usage: igloo ${words[*]} *" '' help "${words[@]}" || return 1
		! igloo "${words[@]}" --help | grep -nE '^.{81}' || return 1
	done <<<"$commands"
}

all_are_in_the_manual()
{
	while read -r line; do
		grep -qF ".Ss \"\\&$line\"" "$dir/igloo.1" || { echo "$line"; return 1; }
	done <<<"$commands"
}

manual_lints()
{
	# "lacks an entry": a manual that it refers to is not installed here.
	! mandoc -T lint -W warning "$dir/igloo.1" | grep -v ' lacks '
}

bash_completes() # WANT WORD...: the candidates for the last word
{
	local want=$1
	shift
	bash --norc -c '. "$0"/igloo.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _igloo; echo "${COMPREPLY[*]}"' \
		"$dir" "$@" >"$dir/got" 2>/dev/null
	echo "got: $(<"$dir/got")"
	[[ " $(<"$dir/got") " == *" $want "* ]]
}

fish_completes() # WANT LINE
{
	fish -N -c 'source $argv[1]; complete -C $argv[2]' "$dir/igloo.fish" "$2" | cut -f1 | tee "$dir/got"
	grep -qxF -- "$1" "$dir/got"
}

no_reader()
{
	set -o pipefail
	igloo help | true
	[[ $? == 0 || $? == 141 ]]
}

igloo generate-man >"$dir/igloo.1"
for shell in bash zsh fish; do
	igloo completion "$shell" >"$dir/igloo.$shell"
done
mkdir -p "$dir/state/igloo/boxes/alpha" "$dir/state/igloo/boxes/\$(touch x)" "$dir/state/igloo/slots/one"

ok "version" ends 0 'igloo [0-9]*' '' --version
ok "version as JSON" ends 0 '{"schema":"igloo.version/1","version":"*"}' '' version --json
ok "no command" ends 125 '' 'igloo: which command?*hint: *'
ok "unknown command" ends 125 '' "igloo: 'versoin' is not an igloo command*hint: did you mean 'version'?" versoin
ok "unknown option" ends 125 '' "igloo: unknown option '--jsn'*hint: did you mean '--json'?" version --jsn
ok "errors as JSON" ends 125 '' '{"command":"version",*"exit":125,*"schema":"igloo.error/1"}' version --json --what
ok "--repo and --always" ends 125 '' 'igloo: --repo and --always exclude each other*' allow --repo --always x.test
ok "--repo and --box" ends 125 '' 'igloo: --repo and --box exclude each other*' deny --repo --box x x.test
ok "options before the verb" ends 0 '{"schema"*' '' -v --json version
ok "unknown shell" ends 125 '' 'igloo: *tcsh*' completion tcsh
ok "terminal codes are shown, not sent" ends 125 '' "igloo: '\\\\x1b\\[31m' *" $'\e[31m'
ok "a full disk is an error" bash -c 'igloo help >/dev/full; [[ $? == 125 ]]'
ok "closed output is no accident" bash -c 'igloo version >&- 2>&- <&-'
ok "a reader that went away" no_reader
ok "every command has help" all_have_help
ok "every command is in the manual" all_are_in_the_manual
ok_with mandoc "the manual has no lint" manual_lints
ok "names of boxes, harmless ones only" ends 0 alpha '' __complete boxes
ok "names of slots" ends 0 one '' __complete slots
ok "names without a state folder" env XDG_STATE_HOME=/nonexistent igloo __complete boxes
for shell in bash zsh fish; do
	ok_with $shell "$shell reads its script" $shell -n "$dir/igloo.$shell"
done
ok "bash: commands" bash_completes completion igloo comp
ok "bash: options" bash_completes --version igloo help --vers
ok "bash: choices" bash_completes 'bash zsh fish' igloo completion ''
ok_with fish "fish: commands" fish_completes completion 'igloo comp'
ok_with fish "fish: options" fish_completes --version 'igloo help --vers'
ok_with fish "fish: choices" fish_completes zsh 'igloo completion '
echo "1..$n"
exit $failed
