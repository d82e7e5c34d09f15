# The Debian packages that set-up needs, installed only where something is missing. Needs say.sh and LT_* of libtorch.sh.

packages_missing() { # sets MISSING
    MISSING=()
    command -v g++ >/dev/null || MISSING+=(g++)
    has_library libssl.so || MISSING+=(libssl3)
    [ -s /etc/ssl/certs/ca-certificates.crt ] || [ -n "${SSL_CERT_FILE:-}${SSL_CERT_DIR:-}" ] || MISSING+=(ca-certificates)
    if [ "$LT_ORIGIN" != debian ]; then return; fi
    [ -e "$LT_LIB/libtorch_cpu.so" ] && [ -e /usr/include/ATen/ATen.h ] || MISSING+=(libtorch-dev)
    # Without it libtorch multiplies matrices with the reference BLAS, fifty times slower.
    has_library libopenblas.so || MISSING+=(libopenblas0-pthread)
}

has_library() { PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -F "$1" >/dev/null; }

packages_ensure() {
    packages_missing
    if [ ${#MISSING[@]} = 0 ]; then return; fi
    local command="apt-get install -y --no-install-recommends ${MISSING[*]}" as=()
    command -v apt-get >/dev/null ||
        fail "missing: ${MISSING[*]} (names of Debian 12), and there is no apt-get here; install them in this system's way, or set LIBTORCH=DIR"
    if [ "$(id -u)" != 0 ]; then
        as=(sudo -n)
        sudo -n true 2>/dev/null || fail "packages are missing and this user may not install them; run: sudo $command"
    fi
    say "installing ${MISSING[*]} with apt-get"
    apt_install || { apt_get update && apt_install; } || {
        cat -- "$BUILD/apt.log" >&2
        fail "apt-get did not install the packages (its output is above); run: ${as[*]:+sudo }$command"
    }
    packages_missing
    [ ${#MISSING[@]} = 0 ] || fail "apt-get is done, but still missing: ${MISSING[*]}; look at $BUILD/apt.log"
}

apt_install() { apt_get install -y --no-install-recommends "${MISSING[@]}"; }

apt_get() {
    "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 "$@" >"$BUILD/apt.log" 2>&1 </dev/null
}
