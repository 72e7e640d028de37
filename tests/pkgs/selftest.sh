#!/bin/bash
# Does debnix make packages that run from /nix/store alone? Prints TAP.
#
#   selftest.sh [FOLDER]    work in FOLDER and leave it there (default: a temporary one)
#
# Needs root (or sudo for apt), apt, and a Nix store that this user can write.
set -u
here=$(cd "$(dirname "$0")" && pwd)
debnix=$here/debnix
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    work=$(cd "$1" && pwd)
else
    work=$(mktemp -d)
    trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
fi
export NIX_CONFIG="experimental-features = nix-command flakes
sandbox = false
substitute = false
build-users-group =
flake-registry = $work/registry.json"
echo '{"flakes":[],"version":2}' >"$work/registry.json"
rm -rf "$work/pkgs" "$work/repo" "$work/synth" # what an earlier run left

count=0
failed=0

# report STATUS NAME
report() {
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        sed 's/^/# /' "$work/log" | tail -n 20
        failed=1
    fi
}

# check NAME COMMAND…: the command succeeds.
check() {
    local name=$1
    shift
    "$@" >"$work/log" 2>&1
    report $? "$name"
}

# says NAME PATTERN COMMAND…: the command succeeds and prints a line that matches.
says() {
    local name=$1 pattern=$2
    shift 2
    "$@" >"$work/log" 2>&1 && grep -Eq -- "$pattern" "$work/log"
    report $? "$name"
}

# box NAME,… COMMAND…: run with these packages on PATH in a root that has the store and no more.
box() {
    local path='' name
    for name in ${1//,/ }; do
        path+=${path:+:}${paths[$name]}/bin
    done
    shift
    bwrap --unshare-all --ro-bind /nix/store /nix/store --dev /dev --proc /proc --tmpfs /tmp \
        --chdir /tmp --clearenv --setenv PATH "$path" --setenv HOME /tmp "$@"
}

# -- making them ---------------------------------------------------------------------------------

command -v bwrap >/dev/null || apt-get install -y -qq bubblewrap >/dev/null 2>&1
list=(bash coreutils findutils grep sed gawk git curl jq python3 nodejs sqlite3 gcc g++ make tar
    gzip xz-utils less procps util-linux strace perl zlib1g-dev ca-certificates)
pkgs=$work/pkgs

"$debnix" generate --out "$pkgs" "${list[@]}" >"$work/log" 2>&1 &
other=$!
check "generate" "$debnix" generate --out "$work/pkgs-twin" "${list[@]}"
wait $other
report $? "generate, twice at once"
check "both wrote the same" diff -r "$pkgs" "$work/pkgs-twin"
rm -rf "$work/pkgs-twin"
check "the flake is small and holds no .deb" bash -c \
    "[ \$(du -sm '$pkgs' | cut -f1) -lt 20 ] && ! find '$pkgs' -name '*.deb' | grep ."
check "build" "$debnix" build --out "$pkgs"
check "build again takes less than 2 s" timeout 2 "$debnix" build --out "$pkgs"

declare -A paths
while IFS=$'\t' read -r name path; do
    paths[$name]=$path
done < <("$debnix" build --out "$pkgs" "${list[@]}" | paste <(printf '%s\n' "${list[@]}") -)

says "the garbage collector leaves them" "/roots/" nix-store -q --roots "${paths[jq]}"

# -- each runs in an empty root ------------------------------------------------------------------

says "bash" '^5\.' box bash bash -c 'echo $BASH_VERSION'
says "coreutils; the box has the store and nothing else" '^dev nix proc tmp$' \
    box coreutils,bash bash -c 'echo $(ls /)'
says "findutils" '^/nix/store$' box findutils find /nix -maxdepth 1 -name store
says "grep" '^12$' box bash,grep bash -c 'echo 12 | grep 1'
says "sed" '^b$' box bash,sed bash -c 'echo a | sed s/a/b/'
says "awk, and its system()" '^3$' box gawk,bash awk 'BEGIN { system("echo $((1 + 2))") }'
says "curl" '^Protocols:.* https' box curl curl --version
says "jq" '^2$' box jq jq -n 1+1
says "sqlite3" '^3\.' box sqlite3 sqlite3 :memory: 'select sqlite_version()'
says "python3 with ssl and sqlite3" '^OpenSSL 3.* 3\.' box python3 \
    python3 -c 'import ssl, sqlite3, ctypes; print(ssl.OPENSSL_VERSION, sqlite3.sqlite_version)'
says "python3 starts a shell" '^sub$' box python3,bash \
    python3 -c 'import subprocess; print(subprocess.check_output("echo sub", shell=True, text=True))'
says "node, and node from node" '^v18.* 42$' box nodejs node -e 'const { execFileSync: x } =
    require("child_process"); process.stdout.write(process.version + " "
    + x(process.execPath, ["-p", "typeof fetch && 42"]))'
says "perl" '^5 POSIX$' box perl perl -MPOSIX -MJSON::PP -e 'print POSIX::floor(5.5), " POSIX\n"'
says "make" '^made in a shell$' box make,bash bash -c \
    'printf "all:\n\t@[ -n 1 ] && echo made in a shell\n" >Makefile; make'
says "tar and gzip, xz" '^x x$' box tar,gzip,xz-utils,bash,coreutils bash -ec \
    'echo x >f; tar czf a.tgz f; tar cJf b.txz f; rm f; tar xzf a.tgz; tar xJOf b.txz | paste -d" " f -'
says "less" '^less [0-9]' box less less --version
says "procps" 'ps ax' box procps ps ax
says "setsid, unshare" '^0$' box util-linux,coreutils setsid -w unshare -r id -u
says "script" '/dev/pts' box util-linux,bash,coreutils script -qc tty /dev/null
says "strace" 'exited with 0' box strace,coreutils strace -e trace=none true
says "git commits and clones" '^[0-9a-f]+ message$' box git,bash,coreutils,sed bash -ec '
    git init -q a; echo x >a/f; git -C a add f
    git -C a -c user.name=n -c user.email=e commit -qm message
    git clone -q a b; git -C b log --oneline'
cat >"$work/hello.c" <<'EOF'
#include <math.h>
#include <stdio.h>
int main(int argc, char **argv) { (void)argv; printf("%.1f\n", sqrt(argc) + pow(argc, 2)); }
EOF
says "gcc: C, with -lm" '^2\.0$' box gcc,bash bash -ec \
    "cat() { while read -r l; do echo \"\$l\"; done; }; cat >a.c; gcc -Wall a.c -lm; ./a.out" <"$work/hello.c"
says "gcc: static" '^2\.0$' box gcc,bash bash -ec 'gcc -static -x c - -lm; ./a.out' <"$work/hello.c"
says "g++" '^caught 1$' box g++,bash bash -ec 'g++ -x c++ - && ./a.out' <<'EOF'
#include <iostream>
int main() { try { throw 1; } catch (int i) { std::cout << "caught " << i << std::endl; } }
EOF
says "certificates" 'BEGIN CERTIFICATE' head -n 1 "${paths[ca-certificates]}/etc/ssl/certs/ca-bundle.crt"
says "programs name the store's loader" 'interpreter: /nix/store/' \
    readelf -l "${paths[git]}/bin/.git-wrapped"

# -- a repository's flake ------------------------------------------------------------------------

mkdir -p "$work/repo/src"
cat >"$work/repo/flake.nix" <<EOF
{
  inputs.nixpkgs.url = "path:$pkgs";
  outputs = { self, nixpkgs }: let
    pkgs = nixpkgs.legacyPackages.x86_64-linux;
  in {
    devShells.x86_64-linux.inner = pkgs.mkShell {
      packages = [ pkgs.sqlite3 ];
      shellHook = "echo inner hook";
      INNER = "not inherited";
    };
    devShells.x86_64-linux.default = pkgs.mkShell {
      name = "demo";
      packages = with pkgs; [ jq git ];
      inputsFrom = [ self.devShells.x86_64-linux.inner ];
      shellHook = "echo outer hook";
      GREETING = "hello \"world\"\nand more";
      LIST = [ "a" "b" ];
      FLAG = true;
    };
    devShells.x86_64-linux.structured = pkgs.mkShell {
      __structuredAttrs = true;
      packages = [ pkgs.jq ];
      TABLE.key = "a value";
    };
    packages.x86_64-linux.default = pkgs.stdenv.mkDerivation {
      pname = "hello";
      version = "1";
      src = ./src;
      buildInputs = [ pkgs.zlib1g-dev ];
    };
  };
}
EOF
cat >"$work/repo/src/hello.c" <<'EOF'
#include <stdio.h>
#include <zlib.h>
int main(void) { printf("zlib %s\n", zlibVersion()); }
EOF
cat >"$work/repo/src/Makefile" <<'EOF'
hello: hello.c
	gcc -o $@ $< -lz
install: hello
	mkdir -p $(PREFIX)/bin
	cp hello $(PREFIX)/bin
EOF
cd "$work/repo" || exit 1
print=${paths[jq]}/bin/jq
env_is() {
    nix print-dev-env --json "path:$work/repo" >"$work/env.json" && "$print" -e "$1" "$work/env.json"
}
check "print-dev-env: values" env_is '.variables | .GREETING.value == "hello \"world\"\nand more"
    and .LIST.value == "a b" and .FLAG.value == "1" and .GREETING.type == "exported"'
check "print-dev-env: hooks of inputsFrom first, their variables not" env_is \
    '.variables | .shellHook.value == "echo inner hook\necho outer hook" and (has("INNER") | not)'
check "print-dev-env: PATH, and functions" env_is \
    '(.variables.PATH.value | test("jq-.*git-.*sqlite3-.*coreutils-"))
    and (.bashFunctions | has("genericBuild") and has("runHook") and has("buildPhase"))'
says "nix develop" '^jq-1.* 3\.' nix develop "path:$work/repo" -c bash -c \
    'echo $(jq --version) $(sqlite3 --version)'
says "structured attributes" '"a value"' \
    nix print-dev-env --json "path:$work/repo#structured"
says "structured attributes: PATH" '^jq-1' \
    nix develop "path:$work/repo#structured" -c jq --version
says "nix develop runs the hooks in order" '^inner hook outer hook$' bash -c \
    "echo \$(nix develop 'path:$work/repo' -c true)"
says "import nixpkgs, and lib" '^jq-1.* x-a$' bash -c "echo \$(nix eval --raw --impure --expr '
    let f = builtins.getFlake \"path:$pkgs\"; p = import f { system = \"x86_64-linux\"; };
    in p.jq.name + \" x-\" + builtins.head (builtins.attrNames (f.lib.genAttrs [ \"a\" ] (x: x)))')"
says "mkDerivation builds C with make and -lz" '^zlib 1\.' bash -c \
    "nix build --no-link 'path:$work/repo' && \$(nix eval --raw 'path:$work/repo#packages.x86_64-linux.default.outPath')/bin/hello"

# -- newer Nix, another architecture, scale ------------------------------------------------------

drv=$(nix eval --raw "path:$work/repo#devShells.x86_64-linux.default.drvPath" 2>/dev/null)
check "this Nix knows the .drv" test -n "$drv"
for version in 2.26 2.34; do
    check "nix $version is fetched" "$debnix" nix --version $version --out "$work/nix-$version"
    says "nix $version: the same .drv" "^${drv:-none}" "$work/nix-$version/bin/nix" eval --raw \
        "path:$work/repo#devShells.x86_64-linux.default.drvPath"
    check "nix $version: print-dev-env" \
        "$work/nix-$version/bin/nix" print-dev-env --json "path:$work/repo"
    says "nix $version: structured attributes" '"a value"' \
        "$work/nix-$version/bin/nix" print-dev-env --json "path:$work/repo#structured"
done

# A store of its own, in a root that holds nothing else: do the builds need, or see, anything more?
mkdir -p "$work/bare"
bare() {
    local root=/N/usr/lib/x86_64-linux-gnu name=$1
    shift
    bwrap --unshare-all --tmpfs / --dev /dev --proc /proc --tmpfs /tmp --bind "$work/bare" /nix \
        --ro-bind "$work/nix-2.34/root" /N --ro-bind "$pkgs" /P --ro-bind "$debs" /D --clearenv \
        --setenv HOME /tmp --setenv NIX_CONFIG "$NIX_CONFIG" \
        "$root/ld-linux-x86-64.so.2" --argv0 "$name" --library-path "$root" /N/usr/bin/nix "$@"
}
debs=${XDG_CACHE_HOME:-$HOME/.cache}/igloo-pkgs/debs
bare_build() {
    # The .debs that git's closure is made of, by the derivations that fetch them.
    local -a names
    mapfile -t names < <(nix-store -qR "$(nix eval --raw "path:$pkgs#git.drvPath")" | grep '\.deb\.drv$' \
        | sed 's|^/nix/store/[a-z0-9]*-|/D/|; s|\.drv$||')
    bare nix-store --add-fixed sha256 "${names[@]}" && bare nix build --no-link path:/P#git
}
check "built in a bare root" bare_build
hash=$(nix-store -q --hash "${paths[git]}")
says "built alike there" "^${hash:-none}$" bare nix-store -q --hash "${paths[git]}"
chmod -R u+w "$work/bare"
rm -rf "$work/bare"

check "arm64: generate" "$debnix" generate --out "$pkgs" --arch arm64 hello jq
says "arm64: build" '-hello-' "$debnix" build --out "$pkgs" --arch arm64 hello
says "arm64: its own loader, in the store" 'interpreter: /nix/store/.*-libc6.*/ld-linux-aarch64' \
    readelf -l "$("$debnix" build --out "$pkgs" --arch arm64 hello)/bin/hello"
check "arm64 beside amd64: nothing is built again" timeout 2 "$debnix" build --out "$pkgs"

check "synth" "$debnix" synth --count 200 --pkgs "$pkgs" --out "$work/synth"
check "synth: build" "$debnix" build --out "$work/synth"
says "synth: 200 paths in the shell's closure" '^200$' bash -c \
    "nix-store -qR \$('$debnix' build --out '$work/synth') | grep -c -- -synth-f"

echo "1..$count"
exit $failed
