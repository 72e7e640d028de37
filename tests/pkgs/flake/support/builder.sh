# Builds one group of Debian packages: unpack, put /usr at the top, then follow the plan.
# Runs in the seed's static busybox; nothing else is needed, or looked at.
#
# From the derivation: $seed, $debs, $deps (the plan's d1, d2, …), $plan, $out.
set -eu
busybox=$seed/bin/busybox
i=0
for dep in $deps; do
    i=$((i + 1))
    eval "d$i=\$dep"
done

fail() {
    echo "debnix: $*" >&2
    exit 1
}

# -- the words of a plan -------------------------------------------------------------------------

# elf LOADER|- RPATH FILE…
elf() {
    loader=$1 rpath=$2
    shift 2
    [ "$loader" = - ] || set -- --set-interpreter "$loader" "$@"
    [ -z "$rpath" ] || set -- --set-rpath "$rpath" "$@"
    "$seed"/lib/loader --library-path "$seed/lib" "$seed/bin/patchelf" "$@"
}

# link TARGET PATH
link() {
    mkdir -p "$(dirname "./$2")"
    ln -sfn "$1" "./$2"
}

# drop PATH…
drop() {
    rm -f "$@"
}

# shebang PROGRAM ARGUMENTS FILE…
shebang() {
    first="#!$1${2:+ $2}"
    shift 2
    for file; do
        [ -L "$file" ] || replace "$file" "1s|.*|$(quote_new "$first")|"
    done
}

# paths FILE OLD NEW…: only whole paths are replaced, the longest first.
paths() {
    file=$1
    shift
    program=
    while [ $# -gt 0 ]; do
        old=$(printf %s "$1" | sed 's/[].[*^$\|]/\\&/g')
        step="s|\\(^\\|file://\\|[^A-Za-z0-9_.}\$/~*%@-]\\)$old\\(\$\\|[^A-Za-z0-9_.@+-]\\)|\\1$(quote_new "$2")\\2|g"
        program="$program$step;$step;" # twice: neighbours share the character between them
        shift 2
    done
    [ -L "$file" ] || replace "$file" "$program"
}

# prefix FILE: a pkg-config file's own place.
prefix() {
    replace "$1" "s|^\\(exec_\\)\\?prefix=/usr/\\?\$|\\1prefix=$out|; s|=/usr/\\(lib\\|include\\|share\\)|=$out/\\1|"
}

quote_new() {
    printf %s "$1" | sed 's/[\|&]/\\&/g'
}

# Keeps the mode, and the other names of a hard link.
replace() {
    sed "$2" "$1" >"$TMPDIR/replaced"
    cat "$TMPDIR/replaced" >"$1"
}

# wrap BASH FILE <settings: run FILE with variables set.
wrap() {
    hidden=$(dirname "$2")/.$(basename "$2")-wrapped
    mv "$2" "$hidden"
    {
        echo "#!$1/bin/bash"
        cat
        echo "exec -a \"\$0\" \"$out/$hidden\" \"\$@\""
    } >"$2"
    chmod +x "$2"
}

# propagate PATH…: inputs of whoever has this package as an input.
propagate() {
    mkdir -p nix-support
    echo "$@" >>nix-support/propagated-build-inputs
}

# cc_wrapper BASH TRIPLET LOADER LIBC LIBC-DEV BINUTILS HEADERS LIBSTDC++-FOLDER
cc_wrapper() {
    bash=$1 triplet=$2 loader=$3 libc=$4 dev=$5 tools=$6 cxx=$8
    private=$(echo lib/gcc/"$triplet"/[0-9]*)
    includes=
    for folder in $7; do
        [ ! -d "$folder" ] || includes="$includes -idirafter $folder"
    done
    for pair in gcc:gcc g++:g++ cpp:cpp cc:gcc c++:g++; do
        name=${pair%:*} kind=${pair#*:}
        real=$(find bin -maxdepth 1 -name "$triplet-$kind-[0-9]*" -type f | sort | tail -n 1)
        [ -n "$real" ] || continue
        rm -f "bin/$name"
        sed -e "s|@bash@|$bash|g; s|@real@|$out/$real|g; s|@loader@|$loader|g; s|@libc@|$libc|g" \
            -e "s|@dev@|$dev|g; s|@tools@|$tools|g; s|@triplet@|$triplet|g" \
            -e "s|@includes@|$includes|g; s|@kind@|$kind|g" \
            -e "s|@cxx@|$cxx|g; s|@private@|$out/$private|g" "$support/cc-wrapper.sh" >"bin/$name"
        chmod +x "bin/$name"
    done
}

# certificates: the bundle that update-ca-certificates would have made.
certificates() {
    mkdir -p etc/ssl/certs
    find share/ca-certificates -name '*.crt' | sort | while read -r file; do
        cat "$file"
    done >etc/ssl/certs/ca-certificates.crt
    ln -s ca-certificates.crt etc/ssl/certs/ca-bundle.crt
}

# redirect_map OLD NEW: for the programs below.
redirect_map() {
    mkdir -p lib/debnix
    echo "$1 $2" >>lib/debnix/redirect.map
}

# redirect FILE…: these programs find the paths of redirect_map at their new places.
redirect() {
    library=$redirect/redirect.so
    if [ ! -f "$library" ]; then
        echo "debnix: no redirection library: $*" >&2
        rm -r lib/debnix
        return 0
    fi
    cp "$library" lib/debnix/redirect.so
    chmod u+w lib/debnix/redirect.so
    "$seed"/lib/loader --library-path "$seed/lib" "$seed/bin/patchelf" \
        --add-needed "$out/lib/debnix/redirect.so" "$@"
}

# -- the build -----------------------------------------------------------------------------------

umask 022
mkdir -p "$out"
cd "$out"
# The archive's own /usr, /sbin and /usr/games are unpacked through these.
mkdir bin
ln -s . usr
ln -s bin sbin
ln -s bin games
for deb in $debs; do
    data=$(ar t "$deb" | grep '^data\.tar')
    case $data in
    *.xz) unpack="xz -dc" ;;
    *.gz) unpack="gzip -dc" ;;
    *.bz2) unpack="bzip2 -dc" ;;
    *.tar) unpack=cat ;;
    *) fail "$deb: cannot unpack $data" ;;
    esac
    ar p "$deb" "$data" | $unpack | tar -x -o -f -
done
rm usr games
rmdir bin 2>/dev/null && rm sbin
rm -rf share/doc share/doc-base share/lintian share/bug share/linda
# Device nodes and sockets cannot live in a store; set-id bits must not.
find . ! -type f ! -type d ! -type l -exec rm -f {} +
find . ! -type l -exec chmod u+rw,u-s,g-s {} +
find . -type d -exec chmod u+x {} +
. "$plan"
rmdir share 2>/dev/null || :
