# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # shared variables: scripts/setup sources all of these files
# This machine's settings for package indexes, as secret files for the image builds. No image layer contains them.
# A file without settings is empty, because a missing secret file fails a build.

build_settings_write() {
    local dir=$state/build bundle
    mkdir -p "$dir"
    chmod 700 "$dir"
    if [[ $host_id == debian ]]; then debian_sources trixie >"$dir/apt.sources"; else : >"$dir/apt.sources"; fi
    if command -v apt-config >/dev/null; then
        apt-config dump | grep -E '^Acquire::(http|https|Check-Valid-Until|Check-Date|Retries)[: ]' >"$dir/apt.conf" || :
    else
        : >"$dir/apt.conf"
    fi
    pip_settings >"$dir/pip.conf"
    : >"$dir/ca.crt"
    for bundle in "${SSL_CERT_FILE:-}" "${REQUESTS_CA_BUNDLE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
        if [[ -n $bundle && -r $bundle ]]; then
            cat "$bundle" >"$dir/ca.crt"
            break
        fi
    done
    chmod 600 "$dir"/*
}

# pip's own settings, from files and environment. Paths of this machine are left out: a build cannot use them.
pip_settings() {
    echo '[global]'
    "$root/.venv/bin/python" -m pip config list 2>/dev/null | sed 's/default-timeout/timeout/' |
        sed -nE "s/^(global|install|:env:)\.(index-url|extra-index-url|trusted-host|proxy|timeout|retries)='(.*)'$/\2 = \3/p" |
        awk '{ kept = ""
               for (i = 3; i <= NF; i++) if ($i !~ /^(file:|\/)/) kept = kept " " $i
               if (kept != "" && !seen[$1]++) print $1 " =" kept }'
}
