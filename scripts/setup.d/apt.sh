# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # shared variables: scripts/setup sources all of these files
# apt with a private configuration: its own lists, sources and pins. The machine's own files stay unchanged.

apt_dir() { printf '%s' "$state/apt"; }

# debian_mirrors [-security]: the mirror URIs of this machine's own release, as apt itself reads its sources. They come from
# the URIs of an update, because a fresh machine has no lists for `indextargets` yet.
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

# Lists of this release, and of the next release with a low priority: only named packages come from that one.
apt_update() {
    local dir
    dir=$(apt_dir)
    mkdir -p "$dir"/{sources,preferences,lists/partial,cache/archives/partial}
    if [[ $host_id == debian ]]; then
        debian_sources "$host_codename" >"$dir/sources/own.list"
        [[ -s $dir/sources/own.list ]] || { echo "this machine's apt settings have no Debian mirror for $host_codename"; return 1; }
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

# Lists become outdated: a later set-up fetches new ones.
apt_forget() { "${as_root[@]}" rm -rf "$(apt_dir)"; }
