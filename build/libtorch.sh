# Finds the one libtorch that is asked for: LIBTORCH=DIR (an official archive or a Python wheel's torch folder),
# LIBTORCH_USE_PYTORCH=1 (python3's torch), else Debian's libtorch-dev. Needs say.sh.

# Sets LT_ORIGIN (debian, libtorch or pytorch), LT_HOME (real path; /usr for Debian) and LT_LIB. Milliseconds, no writes.
libtorch_locate() {
    if [ -n "${LIBTORCH:-}" ]; then
        LT_ORIGIN=libtorch
        LT_HOME=$(readlink -f -- "$LIBTORCH") || LT_HOME=$LIBTORCH
    elif [ "${LIBTORCH_USE_PYTORCH:-0}" = 1 ]; then
        LT_ORIGIN=pytorch
        LT_HOME=$(libtorch_of_python) || fail "LIBTORCH_USE_PYTORCH=1, but python3 ($(command -v python3 || echo none)) has no torch; install it there, or set LIBTORCH=DIR"
    else
        LT_ORIGIN=debian LT_HOME=/usr LT_LIB=/usr/lib/$(uname -m)-linux-gnu
        return
    fi
    LT_LIB=$LT_HOME/lib
    [ -e "$LT_LIB/libtorch_cpu.so" ] || fail "$LT_HOME: no lib/libtorch_cpu.so there; LIBTORCH is the folder that holds lib/ and include/ (of a wheel: site-packages/torch)"
}

# Prints the folder of python3's torch without importing it (an import takes seconds).
libtorch_of_python() {
    python3 -c 'import importlib.util, os, sys
spec = importlib.util.find_spec("torch")
sys.exit(1) if spec is None or not spec.origin else print(os.path.realpath(os.path.dirname(spec.origin)))' 2>/dev/null
}

# After libtorch_locate; sets LT_INCLUDE (array), LT_VERSION, LT_CUDA (yes or no), LT_ABI (0 or 1: the C++11 string ABI).
libtorch_describe() {
    LT_INCLUDE=("$LT_HOME/include" "$LT_HOME/include/torch/csrc/api/include")
    local header=${LT_INCLUDE[1]}/torch/version.h general=$LT_HOME/include/torch/headeronly/version.h
    [ -f "$general" ] && header=$general
    [ -f "$header" ] || fail "$LT_HOME: no header include/torch/csrc/api/include/torch/version.h; take a libtorch with its headers, or install libtorch-dev for Debian's"
    LT_VERSION=$(libtorch_number "$header" MAJOR).$(libtorch_number "$header" MINOR).$(libtorch_number "$header" PATCH)
    # Debian's header says 1.13.0 where the package is 1.13.1.
    if [ "$LT_ORIGIN" = debian ]; then
        local package
        package=$(dpkg-query -W -f '${Version}' libtorch-dev 2>/dev/null) && LT_VERSION=${package%%[+-]*}
    fi
    LT_CUDA=no
    if [ -e "$LT_LIB/libtorch_cuda.so" ]; then LT_CUDA=yes; fi
    # Until 2.5 there are builds with the older std::string in their symbols.
    LT_ABI=1
    if grep -qa torchCheckFailEPKcS2_jRKSs "$LT_LIB/libc10.so"; then LT_ABI=0; fi
}

libtorch_number() { sed -n "s/^#define TORCH_VERSION_$2 *\([0-9][0-9]*\).*/\1/p" "$1"; }

# One line that changes when the library does; part of the native key. Its time is told in one zone, whichever the user's is.
libtorch_identity() {
    printf '%s %s %s %s\n' "$LT_HOME" "$LT_ORIGIN" "$LT_VERSION" "$(TZ=UTC0 stat -L -c '%s %y' "$LT_LIB/libtorch_cpu.so")"
}
