#!@bash@/bin/bash
# The compiler driver with its C library, loader and linker, and the shell's inputs.
compile=(-B@tools@/bin @includes@)
link=(-B@dev@/lib/@triplet@ -L@dev@/lib/@triplet@ -L@libc@/lib/@triplet@
    -Wl,-dynamic-linker=@loader@ -Wl,-rpath,@libc@/lib/@triplet@)
export PATH="@tools@/bin${PATH:+:$PATH}"

linking=1
[ @kind@ != g++ ] || link+=(-Wl,-rpath,@cxx@)
for argument; do
    case $argument in
    -c | -S | -E | -M | -MM | -fsyntax-only) linking=0 ;;
    # The compiler's own run-time libraries are linked beside it.
    -fopenmp* | -fsanitize=* | -latomic | -lquadmath) link+=(-Wl,-rpath,@private@) ;;
    esac
done
[ @kind@ != cpp ] || linking=0
# Without an input there is nothing to link, and `-v` or `--version` must stay quiet.
[ $# -gt 0 ] || linking=0

read -r -a flags <<<"${NIX_CFLAGS_COMPILE-}"
if ((linking)); then
    read -r -a libraries <<<"${NIX_LDFLAGS-}"
    for word in "${libraries[@]}"; do
        case $word in
        -L*) flags+=("$word") ;;
        *) flags+=("-Wl,$word") ;;
        esac
    done
    case " $* " in
    *" -static "* | *" -r "* | *" -nostdlib "*) link=("${link[@]:0:3}") ;;
    esac
    exec "@real@" "${compile[@]}" "${link[@]}" "$@" "${flags[@]}"
fi
exec "@real@" "${compile[@]}" "$@" "${flags[@]}"
