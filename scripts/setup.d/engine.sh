# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # shared variables: scripts/setup sources all of these files
# Docker Engine, Compose and buildx: used as they are when new enough, installed when there are none, never upgraded.

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
        can_install || fail "no Docker Engine here, and $(why_not) → install Docker Engine ≥ $engine_wanted with Compose ≥ $compose_wanted and buildx: $docs"
        engine_packages
        plan "Docker Engine" "none → install, $root_way: ${packages[*]%/*}"
        [[ -z $next_suite ]] ||
            plan "" "from Debian $next_suite, one by one: $host_codename's engine is 20.10. Your apt sources stay as they are."
        return
    fi
    version_at_least "${running:-$installed}" $engine_wanted ||
        fail "Docker Engine ${running:-$installed} is older than $engine_wanted, and is not upgraded for you → $docs"
    [[ -n $compose ]] ||
        fail "Docker Engine ${running:-$installed} is here but Compose is not → $(package_hint docker-compose docker-compose-v2)"
    version_at_least "$compose" $compose_wanted ||
        fail "Docker Compose $compose is older than $compose_wanted, and is not upgraded for you → $(package_hint docker-compose docker-compose-v2)"
    [[ -n $buildx ]] || fail "Docker's buildx is missing → $(package_hint docker-buildx docker-buildx)"
    if [[ -n $running ]]; then
        engine_plan=use
        plan "Docker Engine" "$running, Compose $compose, buildx $buildx: used as they are"
    else
        engine_plan=start
        [[ -n $root_way ]] || fail "Docker Engine $installed is installed but not running, and starting it needs root or sudo"
        plan "Docker Engine" "$installed is installed but not running → start it, $root_way"
    fi
}

# package_hint DEBIAN UBUNTU: the command that installs it here.
package_hint() {
    case $host_id in
        debian) printf 'apt-get install %s (Debian 13 or newer; else the plugin from %s)' "$1" "$docs" ;;
        ubuntu) printf 'apt-get install %s' "$2" ;;
        *) printf '%s' "$docs" ;;
    esac
}

# Which packages, and from which Debian: bookworm's own engine is 20.10, so the next stable's are picked one by one.
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

# The init system first; then the init script; then, where its `ulimit` is forbidden (no CAP_SYS_RESOURCE), detached.
daemon_start() {
    if [[ -d /run/systemd/system ]]; then
        "${as_root[@]}" systemctl enable --now docker
        wait_for_daemon 60
        return
    fi
    if "${as_root[@]}" service docker start && wait_for_daemon 10; then
        return 0
    fi
    echo "service docker start did not bring it up; starting dockerd detached, log in /var/log/dockerd.log"
    "${as_root[@]}" sh -c 'setsid nohup dockerd >>/var/log/dockerd.log 2>&1 </dev/null &'
    wait_for_daemon 60 || { tail -n 8 /var/log/dockerd.log; return 1; }
}

# What was installed is new enough, and this user may use it.
engine_verify() {
    local answer
    answer=$(engine_get /version "$(command -v python3 || true)")
    [[ $answer != denied ]] ||
        fail "Docker is ready; you were added to the group docker, which counts from your next login → log in again (or \`newgrp docker\`), then \`make setup\`"
    version_at_least "$(json_version <<<"$answer")" $engine_wanted ||
        fail "the engine answers '$(json_version <<<"$answer")'; expected ≥ $engine_wanted → $docs"
    version_at_least "$(cli_version docker compose version --short)" $compose_wanted ||
        fail "Compose is '$(cli_version docker compose version --short)'; expected ≥ $compose_wanted → $docs"
}
