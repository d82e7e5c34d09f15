# The checks of ./test: formatting, the strict build, the test projects, and the sum of what they say.
# Each part adds to PASSED, FAILED and SKIPPED; tests_summary prints them last, whatever happened. Needs setup.sh.

PASSED=0 FAILED=0 SKIPPED=0 COMPLETE=0 SKIPPED_TESTS=() FAILED_TESTS=()

# What ends early (a build that fails, an interrupt) counts as one failure more.
tests_summary() {
    local status=$?
    if [ "$COMPLETE" = 0 ]; then FAILED=$((FAILED + 1)); fi
    if [ ${#SKIPPED_TESTS[@]} -gt 0 ]; then printf '\nskipped:\n'; printf '  %s\n' "${SKIPPED_TESTS[@]}"; fi
    if [ ${#FAILED_TESTS[@]} -gt 0 ]; then printf '\nfailed:\n'; printf '  %s\n' "${FAILED_TESTS[@]}"; fi
    printf '%d passed, %d failed%s\n' "$PASSED" "$FAILED" "$([ "$SKIPPED" = 0 ] || printf ', %d skipped' "$SKIPPED")"
    if [ "$status" = 0 ] && [ "$FAILED" -gt 0 ]; then status=1; fi
    exit "$status"
}

tests_run() { # ONLY
    . "$ROOT/build/make.sh"
    dotnet_ensure
    local projects project filter=
    projects=$(tests_projects "$1")
    if [ -z "$projects" ]; then projects=$(tests_projects_with "$1") filter=$1; fi
    if [ -z "$1" ]; then tests_formatting; fi
    if [ "$(wc -l <<<"$projects")" -gt 4 ]; then
        tests_build "$ROOT/PeftAlign.sln"
    else
        while IFS= read -r project; do tests_build "$project"; done <<<"$projects"
    fi
    while IFS= read -r project; do tests_project "$project" "$filter"; done <<<"$projects"
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

tests_formatting() {
    local roots=() root
    for root in src plugins tests; do if [ -d "$ROOT/$root" ]; then roots+=("$root"); fi; done
    cd -- "$ROOT"
    say "checking formatting"
    "$DOTNET" format whitespace . --folder --verify-no-changes --include "${roots[@]/%//}" >"$BUILD/format.log" 2>&1 ||
        tests_gate "C# whitespace; mend: dotnet format whitespace --folder ." "$BUILD/format.log"
    { "$DOTNET" tool restore && "$DOTNET" fantomas --check "${roots[@]}"; } >"$BUILD/format.log" 2>&1 ||
        tests_gate "F# formatting; mend: dotnet fantomas ${roots[*]}" "$BUILD/format.log"
}

tests_gate() { # WHAT LOG
    grep -v '^ *$' -- "$2" | head -n 20 >&2 || true
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

# Runs one project; a test host that crashes, hangs or finds nothing to run is a failure of its own.
tests_project() { # PROJECT FILTER
    local name results limit=1800 status=0 arguments=() passed=0 failed=0 skipped=0 skips=() faults=()
    name=$(basename -- "${1%.?sproj}")
    results=$BUILD/results/$name.trx
    rm -f -- "$results"
    if [ -n "$2" ]; then arguments=(-- "NUnit.Where=test =~ '$(tests_pattern "$2")'"); fi
    say "testing $name"
    # Of a project that is ended no result is kept: the slow tests get the time that they take on a busy machine.
    if [ "${PEFTALIGN_SLOW:-0}" = 1 ]; then limit=7200; fi
    timeout -k 30 "$limit" "$DOTNET" test "$BUILD/artifacts/bin/$name/release/PeftAlign.$name.dll" --nologo \
        --logger "trx;LogFileName=$name.trx" --logger "console;verbosity=minimal" --results-directory "$BUILD/results" "${arguments[@]}" </dev/null || status=$?
    if [ -s "$results" ]; then
        read -r passed failed skipped < <(trx_counts "$results")
        mapfile -t skips < <(trx_tests NotExecuted "$name" "$results")
        mapfile -t faults < <(trx_tests Failed "$name" "$results")
    fi
    if [ "$failed" = 0 ] && { [ "$status" != 0 ] || { [ -z "$2" ] && [ $((passed + skipped)) = 0 ]; }; }; then
        faults=("$name ended with code $status after $passed tests (a crash, a hang, or no tests at all)")
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

# The trx file of a test run, one XML element per line or not: results carry outcome="Passed|Failed|NotExecuted".
trx_counts() { # FILE: passed failed skipped
    grep -o '<UnitTestResult [^>]*>' -- "$1" | awk '
        { outcome = /outcome="Passed"/ ? "p" : /outcome="NotExecuted"/ ? "s" : "f"; n[outcome]++ }
        END { print n["p"] + 0, n["f"] + 0, n["s"] + 0 }'
}

trx_tests() { # OUTCOME PROJECT FILE: a line per test of that outcome, with what it said
    awk -v outcome="$1" -v project="$2" '
        function plain(s) { gsub(/&lt;/, "<", s); gsub(/&gt;/, ">", s); gsub(/&quot;/, "\"", s); gsub(/&#x[DA];/, " ", s); gsub(/&amp;/, "\\&", s); return s }
        BEGIN { RS = "<UnitTestResult " }
        NR > 1 && $0 ~ "^[^>]*outcome=\"" outcome "\"" {
            name = $0; sub(/.*testName="/, "", name); sub(/".*/, "", name)
            reason = "no reason given"
            if (match($0, /<Message>[^<]*/)) reason = substr($0, RSTART + 9, RLENGTH - 9)
            else if (match($0, /<StdOut>[^<]*/)) reason = substr($0, RSTART + 8, RLENGTH - 8)
            gsub(/[\r\n]+/, " ", reason)
            print project ": " plain(name) ": " substr(plain(reason), 1, 300)
        }' "$3"
}
