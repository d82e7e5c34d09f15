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
