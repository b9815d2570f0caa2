# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # shared variables: scripts/setup sources all of these files
# The Python environment of the host commands, from the pinned and hashed requirements of the monitor's image.

# True if PYTHON is new enough and can create an environment.
python_is_good() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && python_is_good "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
}

preflight_venv() {
    local python
    python=$(find_python)
    if [[ -n $python ]]; then
        plan "Python" "$("$python" -c 'import platform; print(platform.python_version())') → .venv for the host commands will be created or updated"
    elif can_install; then
        plan "Python" "no 3.11 or newer with venv → python3, python3-venv and .venv will be installed $root_way"
    else
        fail "no Python 3.11 or newer with venv was found, and $(why_not) → install python3 and its venv module"
    fi
}

venv_make() {
    local python
    [[ -n $(find_python) ]] || apt_install python3 python3-venv
    python=$(find_python)
    [[ -n $python ]] || { echo "Python 3.11 or newer with venv is still missing"; return 1; }
    if ! "$root/.venv/bin/python" -c '' 2>/dev/null; then
        rm -rf "$root/.venv"
        "$python" -m venv "$root/.venv"
    fi
    "$root/.venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r "$root/docker/monitor/requirements.txt"
}

# The linters and test packages go into the same .venv, from a lock file that matches the images.
test_tools() {
    "$root/.venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r "$root/tests/requirements.txt"
    command -v shellcheck >/dev/null || { can_install && apt_install shellcheck; }
    prometheus_fetch
    chromium_install
}
