# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # shared variables: scripts/setup sources all of these files
# Debian's own Prometheus for one test: unpacked beside the kit, not installed, because its package starts a service on 9090.

prometheus_fetch() {
    local dir=$state/prometheus
    if command -v prometheus promtool >/dev/null || [[ -x $dir/usr/bin/promtool ]]; then return 0; fi
    can_install || { echo "Prometheus is missing, and $(why_not); its test is skipped"; return 0; }
    [[ -d $(apt_dir)/lists ]] || apt_update
    rm -rf "$dir.new"
    mkdir -p "$dir.new"
    (cd "$dir.new" && apt_private download prometheus)
    dpkg-deb --fsys-tarfile "$dir.new"/prometheus_*.deb | tar -x -C "$dir.new" ./usr/bin
    rm -f "$dir.new"/prometheus_*.deb
    rm -rf "$dir"
    mv "$dir.new" "$dir"
}
