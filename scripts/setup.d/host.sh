# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # shared variables: scripts/setup sources all of these files
# This machine, and the way to become root on it.

preflight_host() {
    host_id=unknown host_codename='' host_name=$(uname -s)
    if [[ -r /etc/os-release ]]; then
        # shellcheck source=/dev/null
        host_id=$(. /etc/os-release && printf '%s' "${ID:-unknown}")
        # shellcheck source=/dev/null
        host_codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
        # shellcheck source=/dev/null
        host_name=$(. /etc/os-release && printf '%s' "${PRETTY_NAME:-$ID}")
    fi
    if ((EUID == 0)); then
        as_root=() root_way="as root"
    elif command -v sudo >/dev/null; then
        as_root=(sudo) root_way="with sudo"
    else
        as_root=() root_way=""
    fi
    plan "Machine" "$host_name, $(uname -m), $(getconf _NPROCESSORS_ONLN) CPUs"
}

# True if set-up can install packages: Debian or Ubuntu, with root or sudo.
can_install() { [[ $host_id =~ ^(debian|ubuntu)$ && -n $root_way ]] && command -v apt-get >/dev/null; }

# why_not: a few words on why can_install is false.
why_not() {
    if [[ ! $host_id =~ ^(debian|ubuntu)$ ]]; then
        printf 'set-up installs packages on Debian and Ubuntu only, not on %s' "$host_name"
    else
        printf 'set-up needs root or sudo to install packages'
    fi
}
