# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # shared variables: scripts/setup sources all of these files
# Output: plan lines, timed steps, and the one-line failure.

say() { printf '%s\n' "$*"; }

# plan WHAT FOUND: one row of the table of checks.
plan() { printf '  %-16s %s\n' "$1" "$2"; }

# fail LINE: one line with what this machine needs.
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 2
}

# step WHAT COMMAND...: runs COMMAND with its output in a log; prints WHAT and how long it took, or the end of the log.
step() {
    local what=$1 began=$SECONDS log status=0
    shift
    log=$(mktemp)
    printf '  %s ... ' "$what"
    # A subshell under `set -e` of its own: `if`, `||` and `&&` would switch errexit off inside the function.
    set +e
    (
        set -e
        "$@"
    ) >"$log" 2>&1
    status=$?
    set -e
    if ((status != 0)); then
        printf 'failed after %s s\n' $((SECONDS - began))
        tail -n 15 "$log" >&2
        rm -f "$log"
        fail "$what failed; the lines above show why → fix it, then run \`make setup\` again. Finished steps are kept."
    fi
    printf '%s s\n' $((SECONDS - began))
    rm -f "$log"
}

# version_at_least SEEN WANTED: true when dotted number SEEN >= WANTED.
version_at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }
