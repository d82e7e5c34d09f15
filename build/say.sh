# Messages of set-up: progress goes to stderr, a user's mistake is one line and exit code 2.

say() { printf 'peftalign: %s\n' "$*" >&2; }

# fail VALUE-LIMIT-NEXT-ACTION: the work cannot go on until the user changes something.
fail() { say "$*"; exit 2; }
