# The .NET SDK as set-up uses it: found, new enough, leaving no server behind, with a home it can write. Needs say.sh, BUILD.

SDK_MAJOR=10

dotnet_ensure() {
    # MSBuild would speak of an internal failure.
    [ -d "${TMPDIR:-/tmp}" ] && [ -w "${TMPDIR:-/tmp}" ] ||
        fail "TMPDIR is '${TMPDIR:-}': no temporary file can be made in ${TMPDIR:-/tmp}; set TMPDIR to a folder that is there and can be written"
    DOTNET=$(dotnet_find) || fail "no .NET SDK here; install the .NET $SDK_MAJOR SDK (https://dot.net) and put dotnet on the PATH"
    local found newest
    # Without ICU on the machine the SDK would not start otherwise.
    export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false
    export DOTNET_SKIP_WORKLOAD_INTEGRITY_CHECK=1 DOTNET_CLI_WORKLOAD_UPDATE_NOTIFY_DISABLE=true
    export MSBUILDDISABLENODEREUSE=1 DOTNET_CLI_USE_MSBUILD_SERVER=0
    dotnet_home
    found=$("$DOTNET" --list-sdks 2>/dev/null | cut -d' ' -f1)
    newest=$(printf '%s\n' "$found" | sort -V | tail -n 1)
    [ "${newest%%.*}" -ge "$SDK_MAJOR" ] 2>/dev/null ||
        fail ".NET SDK ${newest:-none} in ${DOTNET%/*}; PeftAlign needs $SDK_MAJOR or later: install it (https://dot.net)"
    ln -sfn -- "${DOTNET%/*}" "$BUILD/dotnet"
}

# Prints the real path of the dotnet program.
dotnet_find() {
    local candidate
    for candidate in "${DOTNET_ROOT:+$DOTNET_ROOT/dotnet}" "$(command -v dotnet)" "${HOME:-/nonexistent}/.dotnet/dotnet" \
        /usr/share/dotnet/dotnet /usr/lib/dotnet/dotnet; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then readlink -f -- "$candidate"; return; fi
    done
    return 1
}

# Without a home that can be written, caches go where everything else of a build lies.
dotnet_home() {
    if [ -n "${HOME:-}" ] && [ -d "$HOME" ] && [ -w "$HOME" ]; then return; fi
    export HOME=$BUILD/home DOTNET_CLI_HOME=$BUILD/home NUGET_PACKAGES=$BUILD/home/packages
    mkdir -p -- "$HOME"
}

# Restores and builds one project or solution in Release; on failure shows the errors only. The whole log: .build/build.log.
dotnet_build() { # PROJECT [MSBUILD ARGUMENT]...
    local status=0 server="peftalign-$$" compiler
    # A compiler server of our own halves the time of a first build; it ends with it.
    compiler=$(find "${DOTNET%/*}/sdk" -path '*/Roslyn/bincore/VBCSCompiler.dll' | sort -V | tail -n 1)
    "$DOTNET" msbuild "$1" -restore -m -nr:false -nologo -v:m -clp:NoSummary -p:Configuration=Release \
        "-p:UseSharedCompilation=$([ -n "$compiler" ] && echo true || echo false)" "-p:SharedCompilationId=$server" \
        "${@:2}" >"$BUILD/build.log" 2>&1 </dev/null || status=$?
    if [ -n "$compiler" ]; then "$DOTNET" exec "$compiler" "-pipename:$server" -shutdown >/dev/null 2>&1 || true; fi
    if [ "$status" != 0 ]; then
        grep -E ': (error|fatal)|error (MSB|NU|CS|FS)' -- "$BUILD/build.log" | sort -u | head -n 20 >&2 || tail -n 20 -- "$BUILD/build.log" >&2
        say "the build failed; the whole log is $BUILD/build.log"
        return 1
    fi
}

# A text as MSBuild writes it, to which some characters mean something.
msbuild_text() { # TEXT
    local text=${1//%/%25}
    text=${text//;/%3B}
    text=${text//,/%2C}
    text=${text//\$/%24}
    text=${text//@/%40}
    text=${text//\(/%28}
    text=${text//\)/%29}
    printf '%s' "${text//\'/%27}"
}
