# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # shared variables: scripts/setup sources all of these files
# The quick check: a stamp of set-up's inputs, and one GET on the engine's socket.

# The engine's socket of the docker CLI, if it is a unix socket.
engine_socket() {
    case ${DOCKER_HOST:-} in
        unix://*) printf '%s' "${DOCKER_HOST#unix://}" ;;
        *) printf '/var/run/docker.sock' ;;
    esac
}

# stamp_inputs PURPOSE: a checksum of the inputs of a set-up for PURPOSE (use or test).
stamp_inputs() {
    local files=("$root"/scripts/setup "$root"/scripts/setup.d/*.sh "$root"/docker/monitor/requirements.txt)
    [[ $1 != test ]] || files+=("$root"/tests/requirements.txt)
    { cat "${files[@]}" && printf '%s' "$public_base"; } | cksum
}

stamp_is_good() {
    [[ ${DRY_RUN:-} != 1 && -r $state/setup-$purpose.stamp && -s $state/base-image && -x $root/.venv/bin/python ]] || return 1
    [[ $(<"$state/setup-$purpose.stamp") == "$(stamp_inputs "$purpose")" ]] || return 1
    [[ $(engine_get /_ping "$root/.venv/bin/python") == OK ]]
}

stamp_write() {
    stamp_inputs use >"$state/setup-use.stamp"
    [[ $purpose != test ]] || stamp_inputs test >"$state/setup-test.stamp"
    chmod 600 "$state/base-image" "$state"/*.stamp
}

# engine_get PATH [PYTHON]: the engine's response body to GET PATH; "denied" without permission; empty without an engine.
engine_get() {
    local python=${2:-}
    [[ -S $(engine_socket) ]] || return 0
    if [[ -n $python ]]; then
        "$python" -I -S - "$(engine_socket)" "$1" <<'PY' 2>/dev/null || true
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(10)
try:
    connection.connect(sys.argv[1])
except PermissionError:
    print("denied")
    raise SystemExit
connection.sendall(f"GET {sys.argv[2]} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
answer = b""
while piece := connection.recv(65536):
    answer += piece
print(answer.partition(b"\r\n\r\n")[2].decode())
PY
    elif [[ ! -w $(engine_socket) ]]; then
        printf 'denied'
    elif command -v curl >/dev/null; then
        curl -s --max-time 10 --unix-socket "$(engine_socket)" "http://docker$1" || true
    elif command -v docker >/dev/null; then
        docker version --format '{"Version":"{{.Server.Version}}"}' 2>/dev/null || true
    fi
}
