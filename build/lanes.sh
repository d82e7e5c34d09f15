# Commands side by side, in lanes: each one's output goes to a file of its own, so that its lines stay together, and each has a process group
# of its own, so that whatever it started ends with it.

declare -A LANES=() # process: name

# Starts a command; functions of this shell too.
lane_start() { # NAME LOG COMMAND [ARGUMENT]...
    set -m # gives the next command in the background its group
    "${@:3}" </dev/null >"$2" 2>&1 &
    set +m
    LANES[$!]=$1
}

# Waits until one of those that were started has ended, and sets LANE_NAME and LANE_STATUS; one must be under way. Asked from time to time:
# `wait -n` says nothing of what ended before it was called.
lane_wait() {
    local process
    while true; do
        for process in "${!LANES[@]}"; do
            if kill -0 "$process" 2>/dev/null; then continue; fi
            LANE_NAME=${LANES[$process]} LANE_STATUS=0
            wait "$process" || LANE_STATUS=$?
            unset "LANES[$process]"
            return
        done
        sleep 0.2
    done
}

# Ends all that is under way: asked to end, and after five seconds made to.
lanes_stop() {
    local process tries
    for process in "${!LANES[@]}"; do kill -- "-$process" 2>/dev/null || true; done
    for process in "${!LANES[@]}"; do
        for ((tries = 0; tries < 50; tries++)); do
            kill -0 -- "-$process" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL -- "-$process" 2>/dev/null || true
    done
    LANES=()
}

# How many lanes this machine is good for: a command uses one to four cores, and waits now and then.
lanes_width() {
    local cores
    cores=$(nproc)
    echo $((cores < 2 ? 1 : cores < 6 ? 2 : cores < 12 ? 3 : 4))
}
