# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # shared variables: scripts/setup sources all of these files
# apt through a private configuration: its own lists, sources and pins, so that the machine's stay byte for byte as they are.

apt_dir() { printf '%s' "$state/apt"; }

# debian_mirrors [-security]: the mirror URIs of this machine's own release, as apt itself reads its sources. It is asked what
# an update would fetch, because a fresh machine has no lists yet from which `indextargets` could tell.
debian_mirrors() {
    apt-get update --print-uris | sed -nE "s#^'(.*)/dists/$host_codename${1:-}/InRelease'.*#\1/#p" | sort -u
}

# debian_sources SUITE: sources.list lines of SUITE on this machine's mirrors.
debian_sources() {
    local uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg option=''
    [[ ! -r $keyring ]] || option="[signed-by=$keyring] "
    for uri in $(debian_mirrors); do
        printf 'deb %s%s %s main\n' "$option" "$uri" "$1" "$option" "$uri" "$1-updates"
    done
    for uri in $(debian_mirrors -security); do printf 'deb %s%s %s-security main\n' "$option" "$uri" "$1"; done
}

apt_private() {
    local dir
    dir=$(apt_dir)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$dir/sources" -o Dir::Etc::preferencesparts="$dir/preferences" \
        -o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir/cache" -o Acquire::Languages=none -o Acquire::Retries=3 \
        -o APT::Sandbox::User=root -o Dpkg::Options::=--force-confold "$@"
}

# Lists of this release, and of the next one at a priority at which only what is named is taken from it.
apt_update() {
    local dir
    dir=$(apt_dir)
    mkdir -p "$dir"/{sources,preferences,lists/partial,cache/archives/partial}
    if [[ $host_id == debian ]]; then
        debian_sources "$host_codename" >"$dir/sources/own.list"
        [[ -s $dir/sources/own.list ]] || { echo "no Debian mirror for $host_codename in this machine's apt settings"; return 1; }
        [[ -z ${next_suite:-} ]] || debian_sources "$next_suite" | grep -v -e -updates -e -security >"$dir/sources/next.list"
        printf 'Package: *\nPin: release n=%s\nPin-Priority: 100\n' "${next_suite:-none}" >"$dir/preferences/next"
    else
        cp -a /etc/apt/sources.list.d/. "$dir/sources/"
        [[ ! -s /etc/apt/sources.list ]] || cp -a /etc/apt/sources.list "$dir/sources/main.list"
    fi
    apt_private update
}

apt_install() {
    [[ -d $(apt_dir)/lists ]] || apt_update
    apt_private install --no-install-recommends "$@"
}

# Lists grow old: a later set-up fetches its own.
apt_forget() { "${as_root[@]}" rm -rf "$(apt_dir)"; }
