# $stdenv/setup: the environment and the phases of a build, after nixpkgs' generic/setup.sh.
# Sourced by builds, and by `nix develop` and `nix print-dev-env` to see what a build would see.
set -eu
set -o pipefail
shopt -s nullglob inherit_errexit

if [ -n "${NIX_ATTRS_SH_FILE-}" ] && [ -e "$NIX_ATTRS_SH_FILE" ]; then
    . "$NIX_ATTRS_SH_FILE"
elif [ -e .attrs.sh ]; then
    . .attrs.sh
fi
# With structured attributes `outputs` is a table, name to path.
outputNames=out
if [[ "$(declare -p outputs 2>/dev/null)" == "declare -A"* ]]; then
    outputNames=${!outputs[*]}
    for i in $outputNames; do
        export "$i=${outputs[$i]}"
    done
elif [ -n "${outputs-}" ]; then
    outputNames=$outputs
fi
: "${NIX_DEBUG:=0}"

# -- hooks ---------------------------------------------------------------------------------------

declare -a preConfigureHooks=() postUnpackHooks=() fixupOutputHooks=() preFixupHooks=()
declare -a pkgsBuildBuild=() pkgsBuildHost=() pkgsBuildTarget=()
declare -a pkgsHostHost=() pkgsHostTarget=() pkgsTargetTarget=()
declare -a envBuildBuildHooks=() envBuildHostHooks=() envHostHostHooks=() envHostTargetHooks=()
declare -A seenInputs=()

# Run a hook: the functions in the array ${name}Hooks, then the function or variable itself.
runHook() {
    local hookName=$1 hook
    shift
    local hooksSlice="${hookName%Hook}Hooks[@]"
    for hook in "_callImplicitHook 0 $hookName" ${!hooksSlice+"${!hooksSlice}"}; do
        _eval "$hook" "$@"
    done
    return 0
}

_callImplicitHook() {
    local def=$1 hookName=$2
    if declare -F "$hookName" >/dev/null; then
        "$hookName"
    elif type -p "$hookName" >/dev/null; then
        source "$hookName"
    elif [ -n "${!hookName:-}" ]; then
        eval "${!hookName}"
    else
        return "$def"
    fi
}

_eval() {
    if declare -F "$1" >/dev/null 2>&1; then
        "$@"
    else
        eval "$1"
    fi
}

exitHandler() {
    local exitCode=$?
    set +e
    if [ -n "${showBuildStats:-}" ]; then
        times
    fi
    if ((exitCode != 0)); then
        runHook failureHook
    else
        runHook exitHook
    fi
    return "$exitCode"
}
trap "exitHandler" EXIT

# -- search paths --------------------------------------------------------------------------------

addToSearchPathWithCustomDelimiter() {
    local delimiter=$1 varName=$2 dir=$3
    if [ -d "$dir" ] && [[ "$delimiter${!varName-}$delimiter" != *"$delimiter$dir$delimiter"* ]]; then
        export "${varName}=${!varName:+${!varName}${delimiter}}${dir}"
    fi
}

addToSearchPath() {
    addToSearchPathWithCustomDelimiter ":" "$@"
}

PATH=
HOST_PATH=
for i in $initialPath; do
    addToSearchPath PATH "$i/bin"
done
initialPathValue=$PATH
PATH=

# An input and what it propagates, each once, first come first.
findInputs() {
    local pkg=$1 file word
    if [ -z "$pkg" ] || [ -n "${seenInputs[$pkg]-}" ]; then
        return 0
    fi
    seenInputs[$pkg]=1
    pkgsHostTarget+=("$pkg")
    if [ -f "$pkg" ]; then
        source "$pkg"
        return 0
    fi
    addToSearchPath PATH "$pkg/bin"
    addToSearchPath XDG_DATA_DIRS "$pkg/share"
    addToSearchPath PKG_CONFIG_PATH "$pkg/share/pkgconfig"
    addToSearchPath PYTHONPATH "$pkg/lib/python3/dist-packages"
    addToSearchPath PERL5LIB "$pkg/share/perl5"
    for word in "$pkg"/lib/pkgconfig "$pkg"/lib/*-linux-gnu*/pkgconfig; do
        addToSearchPath PKG_CONFIG_PATH "$word"
    done
    for word in "$pkg"/lib/*-linux-gnu*/perl5/*/; do
        addToSearchPath PERL5LIB "${word%/}"
    done
    if [ -d "$pkg/include" ] && [ "$pkg" != "${cc-}" ]; then
        NIX_CFLAGS_COMPILE+=" -isystem $pkg/include"
        for word in "$pkg"/include/*-linux-gnu*/; do
            NIX_CFLAGS_COMPILE+=" -isystem ${word%/}"
        done
        for word in "$pkg"/lib/*-linux-gnu*/; do
            NIX_LDFLAGS+=" -L${word%/} -rpath,${word%/}"
        done
    fi
    if [ -f "$pkg/nix-support/setup-hook" ]; then
        source "$pkg/nix-support/setup-hook"
    fi
    for file in propagated-build-inputs propagated-native-build-inputs; do
        if [ -f "$pkg/nix-support/$file" ]; then
            for word in $(<"$pkg/nix-support/$file"); do
                findInputs "$word"
            done
        fi
    done
}

NIX_CFLAGS_COMPILE=${NIX_CFLAGS_COMPILE-}
NIX_LDFLAGS=${NIX_LDFLAGS-}
# Structured attributes make these arrays; both spellings expand alike here.
for i in ${nativeBuildInputs[*]-} ${propagatedNativeBuildInputs[*]-} ${defaultNativeBuildInputs-} \
    ${buildInputs[*]-} ${propagatedBuildInputs[*]-}; do
    findInputs "$i"
done
unset i
export NIX_CFLAGS_COMPILE NIX_LDFLAGS
PATH=$PATH${PATH:+:}$initialPathValue
unset initialPathValue
HOST_PATH=$PATH
export PATH HOST_PATH

if [ -n "${defaultNativeBuildInputs-}" ]; then
    export CC=gcc CXX=g++ LD=ld AR=ar AS=as NM=nm RANLIB=ranlib STRIP=strip OBJCOPY=objcopy
    export OBJDUMP=objdump READELF=readelf SIZE=size STRINGS=strings
fi
export CONFIG_SHELL=$SHELL
export NIX_STORE=${NIX_STORE-/nix/store}
export NIX_BUILD_CORES=${NIX_BUILD_CORES-1}
export NIX_ENFORCE_PURITY=${NIX_ENFORCE_PURITY-1}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH-315532800}
export TZ=UTC
if [ -z "${TMPDIR-}" ]; then
    export TMPDIR=${NIX_BUILD_TOP-/tmp}
fi
TERM=${TERM-dumb}
export TERM
ulimit -c 0 || true

# -- text ----------------------------------------------------------------------------------------

substituteStream() {
    local var=$1 description=$2
    shift 2
    while (($# > 0)); do
        case $1 in
        --replace | --replace-fail | --replace-warn | --replace-quiet)
            eval "$var=\${$var//\"\$2\"/\"\$3\"}"
            shift 3
            ;;
        --subst-var)
            eval "$var=\${$var//@$2@/\"\${!2}\"}"
            shift 2
            ;;
        --subst-var-by)
            eval "$var=\${$var//@$2@/\"\$3\"}"
            shift 3
            ;;
        *)
            echo "substituteStream(): invalid argument '$1' for $description" >&2
            return 1
            ;;
        esac
    done
    printf "%s" "${!var}"
}

substitute() {
    local input=$1 output=$2 content
    shift 2
    IFS='' read -r -d '' content <"$input" || true
    substituteStream content "file '$input'" "$@" >"$output"
}

substituteInPlace() {
    local -a files=()
    while (($# > 0)) && [[ $1 != --* ]]; do
        files+=("$1")
        shift
    done
    local file
    for file in "${files[@]}"; do
        substitute "$file" "$file" "$@"
    done
}

stripHash() {
    local name
    name=$(basename -- "$1")
    if [[ $name =~ ^[a-z0-9]{32}- ]]; then
        name=${name:33}
    fi
    echo "$name"
}

# -- phases --------------------------------------------------------------------------------------

unpackFile() {
    local curSrc=$1
    echo "unpacking source archive $curSrc"
    if [ -d "$curSrc" ]; then
        cp -r --preserve=mode,timestamps --reflink=auto -- "$curSrc" "$(stripHash "$curSrc")"
        return
    fi
    case $curSrc in
    *.tar.xz | *.txz) xz -dc "$curSrc" | tar xf - ;;
    *.tar.bz2 | *.tbz2) bzip2 -dc "$curSrc" | tar xf - ;;
    *.tar.gz | *.tgz) gzip -dc "$curSrc" | tar xf - ;;
    *.tar) tar xf "$curSrc" ;;
    *)
        echo "do not know how to unpack source archive $curSrc" >&2
        exit 1
        ;;
    esac
}

unpackPhase() {
    runHook preUnpack
    if [ -z "${srcs[*]-}" ]; then
        if [ -z "${src:-}" ]; then
            echo 'variable $src or $srcs should point to the source' >&2
            exit 1
        fi
        srcs=$src
    fi
    local before=" $(echo *) " i
    for i in ${srcs[*]}; do
        unpackFile "$i"
    done
    if [ -z "${sourceRoot:-}" ]; then
        for i in *; do
            if [ -d "$i" ] && [[ $before != *" $i "* ]]; then
                sourceRoot=$i
            fi
        done
    fi
    echo "source root is ${sourceRoot:?unpacker produced no directories}"
    chmod -R u+w -- "$sourceRoot"
    runHook postUnpack
}

patchPhase() {
    runHook prePatch
    local i
    for i in ${patches[*]-}; do
        echo "applying patch $i"
        patch ${patchFlags:--p1} <"$i"
    done
    runHook postPatch
}

configurePhase() {
    runHook preConfigure
    if [ -z "${configureScript:-}" ] && [ -x ./configure ]; then
        configureScript=./configure
    fi
    if [ -n "${configureScript:-}" ]; then
        echo "configure flags: --prefix=${prefix:=$out} ${configureFlags[*]-}"
        $configureScript --prefix="$prefix" ${configureFlags[*]-}
    fi
    runHook postConfigure
}

buildPhase() {
    runHook preBuild
    if [ -z "${makeFlags-}" ] && ! [ -e Makefile ] && ! [ -e makefile ] && ! [ -e GNUmakefile ]; then
        echo "no Makefile or custom buildPhase, doing nothing"
    else
        make ${enableParallelBuilding:+-j$NIX_BUILD_CORES} SHELL="$SHELL" ${makeFlags[*]-} ${buildFlags[*]-}
    fi
    runHook postBuild
}

checkPhase() {
    runHook preCheck
    make SHELL="$SHELL" ${makeFlags[*]-} ${checkTarget:-check}
    runHook postCheck
}

installPhase() {
    runHook preInstall
    mkdir -p "${prefix:=$out}"
    make SHELL="$SHELL" prefix="$prefix" PREFIX="$prefix" ${makeFlags[*]-} ${installTargets:-install}
    runHook postInstall
}

patchShebangs() {
    local file line program
    while IFS= read -r -d '' file; do
        read -r line <"$file" 2>/dev/null || continue
        [[ $line == "#!"* && $line != "#!$NIX_STORE"* ]] || continue
        line=${line#\#!}
        program=${line%% *}
        program=${program:-${line# }}
        if [[ $(basename "$program") == env ]]; then
            line=${line#* }
            program=${line%% *}
        fi
        program=$(command -v "$(basename "$program")") || continue
        sed -i "1s|.*|#!$program|" "$file"
    done < <(find "$@" -type f -perm -0100 -print0)
}

fixupPhase() {
    runHook preFixup
    local output
    for output in $outputNames; do
        if [ -d "${!output-}/bin" ]; then
            patchShebangs "${!output}/bin"
        fi
    done
    runHook postFixup
}

installCheckPhase() {
    runHook preInstallCheck
    runHook postInstallCheck
}

distPhase() {
    runHook preDist
    runHook postDist
}

showPhaseHeader() {
    echo "Running phase: $1"
}

runPhase() {
    local curPhase=$*
    if [[ $curPhase == unpackPhase && -n ${dontUnpack:-} ]] \
        || [[ $curPhase == patchPhase && -n ${dontPatch:-} ]] \
        || [[ $curPhase == configurePhase && -n ${dontConfigure:-} ]] \
        || [[ $curPhase == buildPhase && -n ${dontBuild:-} ]] \
        || [[ $curPhase == checkPhase && -z ${doCheck:-} ]] \
        || [[ $curPhase == installPhase && -n ${dontInstall:-} ]] \
        || [[ $curPhase == fixupPhase && -n ${dontFixup:-} ]] \
        || [[ $curPhase == installCheckPhase && -z ${doInstallCheck:-} ]]; then
        return
    fi
    showPhaseHeader "$curPhase"
    # A variable with the phase's name replaces the function.
    if [ -n "${!curPhase:-}" ]; then
        eval "${!curPhase}"
    else
        $curPhase
    fi
    if [ "$curPhase" = unpackPhase ]; then
        cd -- "${sourceRoot:-.}"
    fi
}

genericBuild() {
    export GZIP_NO_TIMESTAMPS=1
    if [ -n "${buildCommandPath:-}" ]; then
        source "$buildCommandPath"
        return
    fi
    if [ -n "${buildCommand:-}" ]; then
        eval "$buildCommand"
        return
    fi
    if [ -z "${phases[*]-}" ]; then
        phases="${prePhases[*]-} unpackPhase patchPhase ${preConfigurePhases[*]-} configurePhase \
            ${preBuildPhases[*]-} buildPhase checkPhase ${preInstallPhases[*]-} installPhase \
            ${preFixupPhases[*]-} fixupPhase installCheckPhase ${postPhases[*]-}"
    fi
    local curPhase
    for curPhase in ${phases[*]}; do
        runPhase "$curPhase"
    done
}

runHook setupHook
# Interactive shells and hooks are not held to a build's strictness.
set +u
