# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # shared variables: scripts/setup sources all of these files
# The base image of the kit's images: the public one if a registry has it, else the same Debian from this machine's mirror.

own_base=locust-kit/base:trixie
# With its digest. docker-compose.yml is the only place that has it.
public_base=$(sed -nE 's/^  BASE_IMAGE: \$\{BASE_IMAGE:-(.*)\}$/\1/p' "$root/docker-compose.yml")

# BASE_IMAGE from the environment or .env: the only setting that set-up needs.
base_wanted() {
    [[ -z ${BASE_IMAGE:-} ]] || { printf '%s' "$BASE_IMAGE"; return; }
    [[ ! -r $root/.env ]] || sed -nE 's/^BASE_IMAGE=["'\'']?([^"'\'' ]+).*/\1/p' "$root/.env" | tail -n 1
}

preflight_base() {
    local wanted
    wanted=$(base_wanted)
    plan "Base image" "${wanted:-$public_base; if no registry answers: $own_base, the same Debian, built on this machine}"
}

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

base_make() {
    local wanted
    wanted=$(base_wanted)
    if [[ -n $wanted ]]; then
        has_image "$wanted" || docker pull -q "$wanted"
    elif has_image "$public_base"; then
        wanted=$public_base
    elif has_image $own_base; then
        wanted=$own_base
    elif timeout 90 docker pull -q "$public_base"; then
        wanted=$public_base
    else
        base_bootstrap
        wanted=$own_base
    fi
    printf '%s\n' "$wanted" >"$state/base-image"
}

# A minimal Debian under our own name. No package source stays in the image.
base_bootstrap() {
    [[ $host_id == debian ]] ||
        { echo "no registry has $public_base, and only a Debian machine can build it → set BASE_IMAGE in .env"; return 1; }
    [[ -n $root_way ]] || { echo "this machine must build a base image, which needs root or sudo"; return 1; }
    command -v mmdebstrap >/dev/null || apt_install mmdebstrap
    # shellcheck disable=SC2016  # the hook's own variables
    debian_sources trixie | "${as_root[@]}" mmdebstrap --mode=root --variant=minbase \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --customize-hook='rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/resolv.conf "$1"/etc/hostname' \
        trixie - - | docker import -m "minimal Debian trixie, made by scripts/setup" - $own_base
}
