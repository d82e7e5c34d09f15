# The checks of ./test: formatting, the strict build, the test projects, and the sum of what they say.
# Each part adds to PASSED, FAILED and SKIPPED; tests_summary prints them last, whatever happened. Needs setup.sh.

. "$ROOT/build/lanes.sh"
. "$ROOT/build/trx.sh"

PASSED=0 FAILED=0 SKIPPED=0 COMPLETE=0 SKIPPED_TESTS=() FAILED_TESTS=() TESTS_SCRATCH=

# These begin first, so that no lane is left with a long one at the end.
TESTS_LONG=(Experiments.Tests Host.Tests Models.Tests)

# What ends early (a build that fails, an interrupt) counts as one failure more.
tests_summary() {
    local status=$?
    trap '' HUP INT TERM # a second one, while lanes are given time to end, would leave them running and say no sum
    lanes_stop
    if [ -n "$TESTS_SCRATCH" ]; then rm -rf -- "$TESTS_SCRATCH" || true; fi
    if [ "$COMPLETE" = 0 ]; then FAILED=$((FAILED + 1)); fi
    if [ ${#SKIPPED_TESTS[@]} -gt 0 ]; then printf '\nskipped:\n'; printf '  %s\n' "${SKIPPED_TESTS[@]}"; fi
    if [ ${#FAILED_TESTS[@]} -gt 0 ]; then printf '\nfailed:\n'; printf '  %s\n' "${FAILED_TESTS[@]}"; fi
    printf '%d passed, %d failed%s\n' "$PASSED" "$FAILED" "$([ "$SKIPPED" = 0 ] || printf ', %d skipped' "$SKIPPED")"
    if [ "$status" = 0 ] && [ "$FAILED" -gt 0 ]; then status=1; fi
    exit "$status"
}

# What runs in a group of its own hears nothing of a signal to this one: the summary ends it.
tests_traps() {
    trap "exit 129" HUP
    trap "exit 130" INT
    trap "exit 143" TERM
}

tests_run() { # ONLY
    . "$ROOT/build/make.sh"
    dotnet_ensure
    tests_traps
    local projects project filter=
    projects=$(tests_projects "$1")
    if [ -z "$projects" ]; then projects=$(tests_projects_with "$1") filter=$1; fi
    mkdir -p -- "$BUILD/results"
    if [ -z "$1" ]; then
        say "checking formatting"
        tests_scratch formatting
        lane_start formatting "$BUILD/format.log" tests_formatting
    fi
    if [ "$(wc -l <<<"$projects")" -gt 4 ]; then
        tests_build "$ROOT/PeftAlign.sln"
    else
        while IFS= read -r project; do tests_build "$project"; done <<<"$projects"
    fi
    tests_side_by_side "$filter" <<<"$projects"
    if [ -n "$filter" ] && [ $((PASSED + FAILED + SKIPPED)) = 0 ]; then fail "--only $filter: no test project and no test of that name"; fi
    COMPLETE=1
}

tests_projects() { # NAME, empty for all: prints project files
    find "$ROOT/tests" -mindepth 2 -maxdepth 2 \( -name "${1:-*}.?sproj" -o -name "${1:-*}.Tests.?sproj" \) | sort
}

# Prints the projects that may have tests whose full name contains NAME: those whose sources, or what they share, have every part of it;
# all where none has, since names may be made while tests run.
tests_projects_with() { # NAME
    local name=${1%%[(/]*} parts=() part project found=
    IFS='.+' read -ra parts <<<"$name"
    while IFS= read -r project; do
        for part in "${parts[@]}"; do
            grep -rqF --include='*.?s' -e "$part" -- "${project%/*}" "$ROOT/tests/Shared" "$ROOT/src/Testing" || continue 2
        done
        found+=$project$'\n'
    done < <(tests_projects '')
    if [ -n "$found" ]; then printf '%s' "$found"; else tests_projects ''; fi
}

# In a lane, where nothing that it sets is seen: its code has 1 for C# and 2 for F#.
tests_formatting() {
    local roots=() root wrong=0 log
    export "${SCRATCH[@]}" # the SDK leaves a folder for each restoring of tools
    cd -- "$ROOT"
    for root in src plugins tests; do if [ -d "$root" ]; then roots+=("$root"); fi; done
    log=$("$DOTNET" format whitespace . --folder --verify-no-changes --include "${roots[@]/%//}" 2>&1) || { wrong=1; tests_excerpt "$log"; }
    log=$({ "$DOTNET" tool restore && "$DOTNET" fantomas --check "${roots[@]}"; } 2>&1) || { wrong=$((wrong + 2)); tests_excerpt "$log"; }
    return "$wrong"
}

tests_excerpt() { grep -v '^ *$' <<<"$1" | head -n 20 || true; }

tests_formatted() { # CODE
    cat -- "$BUILD/format.log" >&2
    if (($1 > 3)); then tests_gate "the formatting check ended with code $1"; return; fi
    if (($1 & 1)); then tests_gate "C# whitespace; mend: dotnet format whitespace --folder ."; fi
    if (($1 & 2)); then tests_gate "F# formatting; mend: dotnet fantomas src plugins tests"; fi
}

tests_gate() { # WHAT
    say "failed: $1"
    FAILED=$((FAILED + 1)) FAILED_TESTS+=("$1")
}

# Under the lock of set-up: both write .build/artifacts.
tests_build() { # PROJECT OR SOLUTION
    say "building ${1#"$ROOT/"} with warnings as errors"
    exec 8>"$BUILD/lock"
    flock 8
    dotnet_build "$1" 8>&- || exit 1
    exec 8>&-
}

# Runs projects, as many at a time as there are lanes; a project's name is said when it begins, and all that it prints when it has ended.
tests_side_by_side() { # FILTER; project files on standard input
    local project projects=() width
    width=$(lanes_width)
    mapfile -t projects < <(tests_order)
    for project in "${projects[@]}"; do
        while [ ${#LANES[@]} -ge "$width" ]; do tests_next "$1"; done
        tests_start "$project" "$1"
    done
    while [ ${#LANES[@]} -gt 0 ]; do tests_next "$1"; done
}

tests_order() {
    awk -v long="${TESTS_LONG[*]}" '
        BEGIN { n = split(long, first, " ") }
        { rank = n + 1; for (i = 1; i <= n; i++) if (index($0, "/" first[i] "/")) rank = i; print rank " " $0 }' | sort -s -n -k 1,1 | cut -d ' ' -f 2-
}

tests_start() { # PROJECT FILTER
    local name limit=10800 arguments=()
    name=$(basename -- "${1%.?sproj}")
    rm -f -- "$BUILD/results/$name.trx"
    tests_scratch "$name"
    if [ -n "$2" ]; then arguments=(-- "NUnit.Where=test =~ '$(tests_pattern "$2")'"); fi
    say "testing $name"
    # For what hangs. No result is kept of a project that is ended, so the longest has the time that it takes on a machine that many use.
    lane_start "$name" "$BUILD/results/$name.log" env "${SCRATCH[@]}" timeout -k 30 "$limit" "$DOTNET" test "$BUILD/artifacts/bin/$name/release/PeftAlign.$name.dll" --nologo \
        --logger "trx;LogFileName=$name.trx" --logger "console;verbosity=minimal" --results-directory "$BUILD/results" "${arguments[@]}"
}

# Sets SCRATCH: the variables that give a lane a folder of its own for temporary files, so that what it leaves there is seen, and goes.
tests_scratch() { # NAME
    if [ -z "$TESTS_SCRATCH" ]; then
        TESTS_SCRATCH=$(mktemp -d -- "$(readlink -f -- "${TMPDIR:-/tmp}")/peftalign-test.XXXXXX")
    fi
    mkdir -- "$TESTS_SCRATCH/$1"
    # NuGet's locks stay where those of other programs are.
    SCRATCH=("TMPDIR=$TESTS_SCRATCH/$1" "NUGET_SCRATCH=${NUGET_SCRATCH:-${TMPDIR:-/tmp}/NuGetScratch$(id -un)}")
}

# Removes the folder of a lane that has ended, and prints the names of what was left in it; not the runner's own, and not what .NET has there
# for debuggers, which a process that is killed leaves, nor where the peers' torch keeps what it compiles.
tests_left() { # NAME
    find "$TESTS_SCRATCH/$1" -mindepth 1 -maxdepth 1 ! -name 'clr-debug-pipe-*' ! -name 'dotnet-diagnostic-*' ! -name NUnit.Engine ! -name 'torchinductor_*' -printf '%f\n' 2>&1 | sort || true
    rm -rf -- "$TESTS_SCRATCH/${1:?}" || true
}

tests_next() { # FILTER
    lane_wait
    if [ "$LANE_NAME" = formatting ]; then tests_formatted "$LANE_STATUS"; else tests_collect "$LANE_NAME" "$LANE_STATUS" "$1"; fi
}

# Shows and counts what a project has left; a test host that crashes, hangs or finds nothing to run is a failure of its own.
tests_collect() { # NAME STATUS FILTER
    local results=$BUILD/results/$1.trx passed=0 failed=0 skipped=0 skips=() faults=() left
    left=$(tests_left "$1")
    printf '\n%s\n' "$1"
    grep -v -e '^Starting test execution' -e '^A total of 1 test files' -e '^Results File: ' -e '^$' -- "$BUILD/results/$1.log" || true
    if [ -s "$results" ]; then
        read -r passed failed skipped < <(trx_counts "$results")
        mapfile -t skips < <(trx_tests NotExecuted "$1" "$results")
        mapfile -t faults < <(trx_tests Failed "$1" "$results")
    fi
    if [ "$failed" = 0 ] && { [ "$2" != 0 ] || { [ -z "$3" ] && [ $((passed + skipped)) = 0 ]; }; }; then
        faults=("$1 ended with code $2 after $passed tests (a crash, a hang, or no tests at all)")
        say "failed: ${faults[0]}"
        failed=1
    elif [ "$failed" = 0 ] && [ -n "$left" ]; then
        faults=("$1 left $(wc -l <<<"$left") entries in its folder for temporary files: $(head -n 5 <<<"$left" | paste -s -d , | sed 's/,/, /g')")
        say "failed: ${faults[0]}"
        failed=1
    fi
    PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
    SKIPPED_TESTS+=("${skips[@]}") FAILED_TESTS+=("${faults[@]}")
}

# A text as a regular expression of NUnit's test selection language, in which a case's arguments may stand: Adds(1.5,"x").
tests_pattern() { # TEXT
    sed -e 's/[][\\.*+?^${}()|/]/\\&/g' -e 's/[\\"'"'"']/\\&/g' <<<"$1"
}
