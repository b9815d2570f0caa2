# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # shared variables: scripts/setup sources all of these files
# Docker Engine, Compose and buildx: used if they are new enough, installed if they are missing, never upgraded.

engine_wanted=25.0 compose_wanted=2.24
docs="https://docs.docker.com/engine/install/"

json_version() { sed -nE 's/.*"Version": ?"([0-9][^"]*)".*/\1/p' | tail -n 1; }
cli_version() { { "$@" 2>/dev/null || true; } | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1 || true; }

# Sets engine_plan to: use | start | install.
preflight_engine() {
    local answer running installed compose buildx
    answer=$(engine_get /version "$(command -v python3 || true)")
    [[ $answer != denied ]] ||
        fail "no permission to use $(engine_socket) → sudo usermod -aG docker $(id -un), then log in again"
    running=$(json_version <<<"$answer")
    installed=$(cli_version dockerd --version)
    compose=$(cli_version docker compose version --short)
    buildx=$(cli_version docker buildx version)

    if [[ -z $running && -z $installed ]]; then
        engine_plan=install
        can_install || fail "Docker Engine is not installed, and $(why_not) → install Docker Engine ≥ $engine_wanted with Compose ≥ $compose_wanted and buildx: $docs"
        engine_packages
        plan "Docker Engine" "not found → will be installed $root_way: ${packages[*]%/*}"
        [[ -z $next_suite ]] ||
            plan "" "only these packages come from Debian $next_suite, because $host_codename has Docker 20.10; your apt sources do not change"
        return
    fi
    version_at_least "${running:-$installed}" $engine_wanted ||
        fail "Docker Engine is ${running:-$installed}; expected: $engine_wanted or newer. Set-up does not upgrade it → $docs"
    [[ -n $compose ]] ||
        fail "Docker Engine ${running:-$installed} is installed, but Docker Compose is missing → $(package_hint docker-compose docker-compose-v2)"
    version_at_least "$compose" $compose_wanted ||
        fail "Docker Compose is $compose; expected: $compose_wanted or newer. Set-up does not upgrade it → $(package_hint docker-compose docker-compose-v2)"
    [[ -n $buildx ]] || fail "Docker's buildx is missing → $(package_hint docker-buildx docker-buildx)"
    if [[ -n $running ]]; then
        engine_plan=use
        plan "Docker Engine" "$running with Compose $compose and buildx $buildx: found, will be used"
    else
        engine_plan=start
        [[ -n $root_way ]] || fail "Docker Engine $installed is installed but not running → start it as root, then run \`make setup\` again"
        plan "Docker Engine" "$installed is installed but not running → will be started $root_way"
    fi
}

# package_hint DEBIAN UBUNTU: the command that installs it on this machine.
package_hint() {
    case $host_id in
        debian) printf 'apt-get install %s (Debian 13 or newer; on older ones the plugin from %s)' "$1" "$docs" ;;
        ubuntu) printf 'apt-get install %s' "$2" ;;
        *) printf '%s' "$docs" ;;
    esac
}

# The packages and their Debian release. Bookworm has Docker 20.10, so single packages come from the next release.
engine_packages() {
    local names=(docker.io docker-cli docker-compose docker-buildx)
    next_suite=''
    case $host_id-$host_codename in
        ubuntu-*) packages=(docker.io docker-compose-v2 docker-buildx) packages_said="Docker Engine, Compose and buildx from Ubuntu" ;;
        debian-bookworm)
            next_suite=trixie
            packages=("${names[@]/%//trixie}")
            packages_said="Docker Engine, Compose and buildx from Debian trixie"
            ;;
        debian-bullseye | debian-buster) fail "Debian $host_codename is too old for Docker Engine ≥ $engine_wanted from Debian → $docs" ;;
        *) packages=("${names[@]}") packages_said="Docker Engine, Compose and buildx from Debian $host_codename" ;;
    esac
}

engine_install() {
    [[ $engine_plan == install ]] || return 0
    step "Package lists" apt_update
    step "Install $packages_said" apt_install "${packages[@]}"
    engine_plan=start
    ((EUID == 0)) || "${as_root[@]}" usermod -aG docker "$(id -un)"
}

engine_start() {
    [[ $engine_plan == start ]] || return 0
    step "Start the Docker daemon" daemon_start
}

daemon_answers() { [[ $("${as_root[@]}" docker version --format '{{.Server.Version}}' 2>/dev/null) == [0-9]* ]]; }

# wait_for_daemon SECONDS
wait_for_daemon() {
    local until=$((SECONDS + $1))
    while ((SECONDS < until)); do
        daemon_answers && return 0
        sleep 0.3
    done
    return 1
}

# First the init system, then the init script. If that fails (its `ulimit` needs CAP_SYS_RESOURCE), start dockerd detached.
daemon_start() {
    if [[ -d /run/systemd/system ]]; then
        "${as_root[@]}" systemctl enable --now docker
        wait_for_daemon 60
        return
    fi
    if "${as_root[@]}" service docker start && wait_for_daemon 10; then
        return 0
    fi
    echo "\`service docker start\` failed; starting dockerd directly, with its log in /var/log/dockerd.log"
    "${as_root[@]}" sh -c 'setsid nohup dockerd >>/var/log/dockerd.log 2>&1 </dev/null &'
    wait_for_daemon 60 || { tail -n 8 /var/log/dockerd.log; return 1; }
}

# The installed versions are new enough, and this user may use Docker.
engine_verify() {
    local answer
    answer=$(engine_get /version "$(command -v python3 || true)")
    [[ $answer != denied ]] ||
        fail "Docker is installed, and you are now in the group docker, from your next login on → log in again (or \`newgrp docker\`), then run \`make setup\`"
    version_at_least "$(json_version <<<"$answer")" $engine_wanted ||
        fail "Docker Engine is '$(json_version <<<"$answer")'; expected: $engine_wanted or newer → $docs"
    version_at_least "$(cli_version docker compose version --short)" $compose_wanted ||
        fail "Docker Compose is '$(cli_version docker compose version --short)'; expected: $compose_wanted or newer → $docs"
}
