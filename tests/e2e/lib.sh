# shellcheck shell=bash
# Helpers for end-to-end tests in bash. A test sources this first:
#
#     . "$(dirname "$0")/lib.sh"
#
# and then has: igloo on PATH; a home, XDG folders and a temporary folder of its own, $T, removed at the
# end with every box that still runs; and the functions below, which print TAP. Nothing is left behind
# however it ends. tests/run gives IGLOO_E2E_PKGS, the flake of packages, and puts igloo on PATH.
set -u
umask 022
[[ -n ${IGLOO_E2E_PKGS-} ]] || {
	echo "1..0 # SKIP packages in the host's Nix store: run this by tests/run e2e $(basename "$0")"
	exit
}

T=$(mktemp -d "${TMPDIR:-/tmp}/e2e-XXXXXX") || exit 1
T=$(realpath "$T")
TEST_MARK=IGLOO_E2E_FILE=$T
export IGLOO_E2E_FILE=$T
export HOME=$T/home TMPDIR=$T/tmp
export XDG_STATE_HOME=$HOME/.local/state XDG_CACHE_HOME=$HOME/.cache XDG_CONFIG_HOME=$HOME/.config
export XDG_RUNTIME_DIR=$T/run
unset NIX_CONFIG NIX_PATH NIX_REMOTE
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@example.org
export GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@example.org
unset IGLOO_IN IGLOO_SLOT
# Nothing that a test has not asked for is made behind its back.
export IGLOO_VM_START=cold
mkdir -m 700 "$HOME" "$TMPDIR" "$XDG_RUNTIME_DIR"
SYSTEM=$(uname -m)-linux
# For the host's own Nix, where a test needs it; igloo has to do without.
HOST_NIX="experimental-features = nix-command flakes"
[[ $EUID != 0 ]] || HOST_NIX+=$'\nbuild-users-group ='

tests_run=0 tests_failed=0

# Sends a signal to what this test started and left running: it has TEST_MARK in its environment.
# Fails if there is nothing of the kind.
end_processes()
{
	local pid file found=1
	for file in /proc/[0-9]*/environ; do
		pid=${file#/proc/}
		pid=${pid%/environ}
		[[ $pid != "$$" && $pid != "$BASHPID" ]] || continue
		if grep -qazxF "$TEST_MARK" "$file" 2>/dev/null && kill "$1" "$pid" 2>/dev/null; then
			found=0
		fi
	done
	return $found
}

finish()
{
	local status=$?
	trap - EXIT
	cd / || :
	end_processes -TERM
	for _ in {1..50}; do
		end_processes -0 || break
		sleep 0.1
	done
	end_processes -KILL
	# Store paths are read-only, folders too.
	chmod -R u+rwX "$T" 2>/dev/null
	rm -rf "$T"
	echo "1..$tests_run"
	if ((status == 0 && tests_failed)); then
		status=1
	fi
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# pass NAME / fail NAME [EXPLANATION]: one result.
pass()
{
	tests_run=$((tests_run + 1))
	echo "ok $tests_run - $1"
}

fail()
{
	tests_run=$((tests_run + 1))
	tests_failed=$((tests_failed + 1))
	echo "not ok $tests_run - $1"
	[[ -z ${2-} ]] || printf '# %s\n' "${2//$'\n'/$'\n# '}"
}

# skip NAME REASON: the reason names the capability that is missing.
skip()
{
	tests_run=$((tests_run + 1))
	echo "ok $tests_run - $1 # SKIP $2"
}

# ok NAME COMMAND...: passes if the command succeeds; its output explains a failure.
ok()
{
	local name=$1 log
	shift
	if log=$("$@" 2>&1); then
		pass "$name"
	else
		fail "$name" "$log"
	fi
}

# is NAME GOT WANTED
is()
{
	if [[ $2 == "$3" ]]; then
		pass "$1"
	else
		fail "$1" "got: $2
wanted: $3"
	fi
}

# like NAME TEXT PATTERN (of bash's [[, without quotes around it)
like()
{
	# shellcheck disable=SC2053 # a pattern
	if [[ $2 == $3 ]]; then
		pass "$1"
	else
		fail "$1" "got: $2
wanted: $3"
	fi
}

# try COMMAND...: runs it with no stdin; sets code, out and err. Never fails.
try()
{
	out=$("$@" </dev/null 2>"$T/stderr")
	code=$?
	err=$(<"$T/stderr")
}

# ends NAME CODE COMMAND...: passes if the command ends with that code; sets code, out and err.
ends()
{
	local name=$1 wanted=$2
	shift 2
	try "$@"
	if [[ $code == "$wanted" ]]; then
		pass "$name"
	else
		fail "$name" "exit code $code, not $wanted
stdout: $out
stderr: $err"
	fi
}

# says NAME CODE PATTERN COMMAND...: the same, and stderr matches.
says()
{
	local name=$1 wanted=$2 pattern=$3
	shift 3
	try "$@"
	# shellcheck disable=SC2053 # a pattern
	if [[ $code == "$wanted" && $err == $pattern ]]; then
		pass "$name"
	else
		fail "$name" "exit code $code (wanted $wanted), stdout: $out
stderr: $err
wanted: $pattern"
	fi
}

# prints NAME OUTPUT COMMAND...: it succeeds and prints exactly that.
prints()
{
	local name=$1 wanted=$2
	shift 2
	try "$@"
	if [[ $code == 0 && $out == "$wanted" ]]; then
		pass "$name"
	else
		fail "$name" "exit code $code, stdout: $out
wanted: $wanted
stderr: $err"
	fi
}

# flake [PACKAGE...]: prints a flake.nix with these packages in devShells.default. More of the file
# comes from two variables: shell_attrs within mkShell's set, shells beside `default`.
flake()
{
	cat <<END
{
  inputs.nixpkgs.url = "path:$IGLOO_E2E_PKGS";
  outputs = { self, nixpkgs }: let
    pkgs = nixpkgs.legacyPackages.$SYSTEM;
  in {
    devShells.$SYSTEM = {
      default = pkgs.mkShell {
        packages = [ ${*/#/pkgs.} ];
        ${shell_attrs-}
      };
      ${shells-}
    };
  };
}
END
}

# mkproject FOLDER [PACKAGE...]: a git repository $T/FOLDER with such a flake, its lock and one commit;
# cd's into it.
mkproject()
{
	local folder=$T/$1
	shift
	mkdir -p "$folder" && cd "$folder" || exit 1
	flake "$@" >flake.nix
	git init -q . && git add -A || exit 1
	NIX_CONFIG=$HOST_NIX nix flake lock 2>"$T/lock.log" || {
		cat "$T/lock.log" >&2
		exit 1
	}
	git add -A && git commit -qm 'a project'
}

# appears FILE PID: waits until the file is there; fails when the process ends before, or after a minute.
appears()
{
	local end=$((SECONDS + 60))
	until [[ -e $1 ]]; do
		kill -0 "$2" 2>/dev/null && ((SECONDS < end)) || return 1
		sleep 0.05
	done
}

# within SECONDS COMMAND...: waits until the command succeeds.
within()
{
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || return 1
		sleep 0.05
	done
}
