# The product's own assemblies compiled before they run (ReadyToRun): a process that runs for half a second spends most of it in .NET's compiler
# otherwise. They hold their first form too, so that .NET compiles anew what is called often, as always; numbers are the same.
# Without the compiler's package, which is not part of the SDK, the product works as it is. Needs say.sh, dotnet.sh, BUILD, ROOT.

# Of an assembly that is as it was the last time nothing is compiled: outputs are kept by content (and how it was compiled), one for each name.
AHEAD_ASSEMBLIES=(PeftAlign.Abstractions PeftAlign.Algebra PeftAlign.Core PeftAlign.Host PeftAlign.Merging PeftAlign.Models PeftAlign.Plugins
    PeftAlign.Torch PeftAlign.Training FSharp.Core System.CommandLine YamlDotNet)

AHEAD_OPTIONS=(--targetos linux -O)

# A wrong value is said before minutes are spent.
ahead_check() {
    case ${PEFTALIGN_AHEAD:-1} in
        0 | 1) ;;
        *) fail "PEFTALIGN_AHEAD=$PEFTALIGN_AHEAD is neither 0 (.NET compiles while it runs) nor 1 (before); set one of them, or nothing" ;;
    esac
}

# Sets AHEAD_COMPILER and AHEAD_FRAMEWORK; false where the package cannot be had, for which a registry that lacks it is asked once a day.
# The mark of a time to come, which a clock that was set back leaves, counts for nothing.
ahead_find() {
    local answer=$BUILD/ahead/places absent=$BUILD/ahead/absent
    if [ -n "$(find "$absent" -mmin -1440 ! -newermt now 2>/dev/null)" ]; then return 1; fi
    rm -f -- "$answer" "$absent"
    # In the foreground, so that an interrupt from the terminal reaches it: a registry may never answer.
    if timeout --foreground -k 10 300 "$DOTNET" msbuild "$ROOT/build/ahead.csproj" -restore -t:Tell -nr:false -nologo -v:m "-p:Answer=$(msbuild_text "$answer")" >"$BUILD/ahead/restore.log" 2>&1 </dev/null; then
        { IFS= read -r AHEAD_COMPILER && IFS= read -r AHEAD_FRAMEWORK; } <"$answer" || true
        if [ -x "$AHEAD_COMPILER" ] && [ -e "$AHEAD_FRAMEWORK/System.Private.CoreLib.dll" ]; then return 0; fi
    fi
    : >"$absent"
    return 1
}

# Compiles what lies in a product folder that nobody uses yet.
ahead_compile() { # FOLDER
    if [ "${PEFTALIGN_AHEAD:-1}" = 0 ]; then return; fi
    say "compiling what was built before it runs"
    mkdir -p -- "$BUILD/ahead"
    trap 'exit 130' INT # MSBuild ends an interrupt as it ends a failure
    if ! ahead_find; then
        say "not compiled before it runs, since .NET's package for that is not to be had ($BUILD/ahead/restore.log): commands start some tenths of a second later"
        trap - INT
        return
    fi
    local name key done
    for name in "${AHEAD_ASSEMBLIES[@]}"; do
        key=$({ printf '%s\n' "$AHEAD_COMPILER" "${AHEAD_OPTIONS[@]}"; cat -- "$1/$name.dll"; } | sha256sum)
        done=$BUILD/ahead/$name-${key:0:16}-$(basename -- "$AHEAD_FRAMEWORK").dll
        if [ ! -e "$done" ]; then
            find "$BUILD/ahead" -maxdepth 1 -name "$name-*.dll" -delete
            if ! "$AHEAD_COMPILER" "$1/$name.dll" -o "$done.new" -r "$AHEAD_FRAMEWORK/*.dll" -r "$1/*.dll" "${AHEAD_OPTIONS[@]}" >"$BUILD/ahead/compile.log" 2>&1; then
                rm -f -- "$done.new"
                say "$name stays as it is: .NET's compiler refused it ($BUILD/ahead/compile.log)"
                continue
            fi
            mv -- "$done.new" "$done"
        fi
        cp -- "$done" "$1/$name.dll"
    done
    trap - INT
}
