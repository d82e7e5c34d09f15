# Set-up: what ./peftalign and ./test share. `setup_ready` answers in milliseconds from time stamps and writes nothing;
# `setup_run` makes what is missing, one process at a time. Needs ROOT; see docs/set-up.md for the layout of .build.

. "$ROOT/build/say.sh"
. "$ROOT/build/libtorch.sh"
BUILD=$ROOT/.build

# What a build depends on. A folder that is not there yet counts once it appears: its own time is newer than the stamp.
SOURCES=(src plugins native build peftalign Directory.Build.props Directory.Build.targets Directory.Packages.props global.json NuGet.config)

# Sets SELECTION: empty for Debian's libtorch, else a suffix of its own for each other one; and LT_*.
setup_select() {
    libtorch_locate
    SELECTION=
    if [ "$LT_ORIGIN" != debian ]; then
        local sum
        read -r sum _ < <(printf '%s %s' "$LT_HOME" "$LT_ORIGIN" | sha256sum)
        SELECTION=-${sum:0:12}
    fi
}

# True where nothing is newer than the stamp. Change times, not modification times: a file put back with an old date counts;
# a folder's own time shows what was deleted or renamed in it. A file that find cannot see is an error, hence not fresh; so is a
# stamp of a time to come, which a clock that was set back leaves: a change since then would be older.
setup_fresh() {
    local stamp=$BUILD/stamp$SELECTION
    [ -e "$stamp" ] && [ -e "$BUILD/current/PeftAlign.Host" ] && [ -e "$BUILD/native/current$SELECTION/libpeftalign_torch.so" ] || return 1
    local name existing=()
    for name in "${SOURCES[@]}"; do if [ -e "$ROOT/$name" ]; then existing+=("$ROOT/$name"); fi; done
    [ -z "$(find -H "$stamp" "${existing[@]}" "$LT_LIB/libtorch_cpu.so" \( -samefile "$stamp" -newermt now -o ! -samefile "$stamp" -newercm "$stamp" \) -print -quit 2>&1)" ]
}

# Sets PRODUCT and PEFTALIGN_NATIVE to the real folders, so that a later set-up cannot change a program that runs.
setup_resolve() {
    local found
    found=$(readlink -f -- "$BUILD/current" "$BUILD/native/current$SELECTION")
    PRODUCT=${found%%$'\n'*}
    export PEFTALIGN_NATIVE=${found#*$'\n'}
    # The host program looks for .NET in the usual places only.
    if [ -z "${DOTNET_ROOT:-}" ] && [ -x "$BUILD/dotnet/dotnet" ]; then export DOTNET_ROOT=$BUILD/dotnet; fi
}

# Everything: select, check, make what is missing.
setup_ready() {
    setup_select
    if ! setup_fresh; then
        . "$ROOT/build/make.sh"
        make_all
    fi
    setup_resolve
}
