# Makes what set-up found missing or stale: apt packages, the native library, the product. Sourced by setup.sh only then.

. "$ROOT/build/packages.sh"
. "$ROOT/build/dotnet.sh"
. "$ROOT/build/ahead.sh"

# The first 16 digits of a hash over names and contents of the files under the given paths, as seen from ROOT.
content_key() {
    (cd -- "$ROOT" && find "$@" -type f ! -path '*/bin/*' ! -path '*/obj/*' ! -name '*~' ! -name '.*.sw?' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
}

# Points a link at another folder in one step: whoever follows it sees the old or the new, never none.
swap_link() { # TARGET LINK
    local fresh=$2.new.$$
    ln -s -- "$1" "$fresh"
    mv -T -- "$fresh" "$2"
}

make_all() {
    if ! mkdir -p -- "$BUILD" 2>/dev/null || [ ! -w "$BUILD" ]; then check_read_only; return; fi
    exec 8>"$BUILD/lock"
    if ! flock -n 8; then
        say "another set-up of this folder is at work; waiting for it"
        flock 8
        if setup_fresh; then exec 8>&-; return; fi
    fi
    # The children must not hold the lock after an interrupt: they get no copy of descriptor 8.
    make_parts 8>&-
    exec 8>&-
}

# A read-only tree can be used as it is when its contents match what was built, whatever the times say.
check_read_only() {
    native_key
    product_key
    [ "$(readlink -- "$BUILD/current")" = "product/$PRODUCT_KEY" ] &&
        [ "$(readlink -- "$BUILD/native/current$SELECTION")" = "$NATIVE_KEY" ] ||
        fail "$BUILD cannot be written, and what is built there is not of these sources or this libtorch; run it once where the folder can be written"
}

make_parts() {
    # What an interrupted set-up left; the lock says that nobody writes there now.
    rm -rf -- "$BUILD"/native/new.* "$BUILD"/product/new.* "$BUILD"/stamp*.new.* "$BUILD"/ahead/*.new
    # A missing SDK is said before anything is installed.
    product_key
    if [ ! -e "$BUILD/product/$PRODUCT_KEY/PeftAlign.Host" ]; then dotnet_ensure; fi
    packages_ensure
    # Taken before the sources are read: a change during the build is newer than the stamp.
    local stamp=$BUILD/stamp$SELECTION
    : >"$stamp.new.$$"
    make_native
    make_product
    mv -- "$stamp.new.$$" "$stamp"
}

native_key() {
    libtorch_describe
    NATIVE_KEY=$({ content_key native build/libtorch.sh; libtorch_identity; g++ -dumpfullversion 2>/dev/null; } | sha256sum | cut -c1-16)
}

make_native() {
    native_key
    local folder=$BUILD/native/$NATIVE_KEY
    if [ ! -e "$folder/libpeftalign_torch.so" ]; then
        say "compiling native/ against libtorch $LT_VERSION ($LT_LIB)"
        local fresh
        mkdir -p -- "$BUILD/native"
        fresh=$(mktemp -d "$BUILD/native/new.XXXXXX")
        "$ROOT/native/build" "$fresh" || { rm -rf -- "$fresh"; exit 1; }
        chmod 755 -- "$fresh"
        mv -T -- "$fresh" "$folder"
    fi
    if [ "${PEFTALIGN_STRICT:-0}" = 1 ] && [ -s "$folder/warnings.txt" ]; then
        cat -- "$folder/warnings.txt" >&2
        say "native/ compiles with warnings, which PEFTALIGN_STRICT=1 does not allow; mend them"
        exit 1
    fi
    swap_link "$NATIVE_KEY" "$BUILD/native/current$SELECTION"
    # Editors and their test runners look for "current"; any libtorch is better than none.
    if [ ! -e "$BUILD/native/current" ]; then swap_link "$NATIVE_KEY" "$BUILD/native/current"; fi
}

# native/ has a key of its own, and the other scripts make no difference to the product.
product_key() {
    local parts=() name
    for name in src plugins build/product.proj build/ahead.csproj build/ahead.sh Directory.Build.props Directory.Build.targets Directory.Packages.props global.json NuGet.config; do
        if [ -e "$ROOT/$name" ]; then parts+=("$name"); fi
    done
    PRODUCT_KEY=$(content_key "${parts[@]}")
}

make_product() {
    product_key
    local folder=$BUILD/product/$PRODUCT_KEY
    if [ ! -e "$folder/PeftAlign.Host" ]; then
        ahead_check
        say "building the product"
        export PEFTALIGN_NATIVE=$BUILD/native/$NATIVE_KEY
        if [ -z "${DOTNET:-}" ]; then dotnet_ensure; fi # sources that changed while native/ compiled
        local fresh
        mkdir -p -- "$BUILD/product"
        fresh=$(mktemp -d "$BUILD/product/new.XXXXXX")
        dotnet_build "$ROOT/build/product.proj" "-p:ProductFolder=$(msbuild_text "$fresh/")" "-p:NativeFolder=$(msbuild_text "$BUILD/native/$NATIVE_KEY")" || { rm -rf -- "$fresh"; exit 1; }
        ahead_compile "$fresh"
        chmod 755 -- "$fresh"
        mv -T -- "$fresh" "$folder"
        remove_old_products "$folder"
    fi
    swap_link "product/$PRODUCT_KEY" "$BUILD/current"
}

# Products of two weeks ago go, except the one just made and those in use: the host holds a shared lock on its own.
remove_old_products() { # KEEP
    local old
    while IFS= read -r old; do
        if [ "$old" = "$1" ] || [ ! -e "$old/in-use" ]; then continue; fi
        (flock -x -n 7 && rm -rf -- "$old") 7<"$old/in-use" || true
    done < <(find "$BUILD/product" -mindepth 1 -maxdepth 1 -type d -mtime +14)
}
