# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # shared variables: scripts/setup sources all of these files
# Debian's own browser and its driver, for the tests of the page.

chromium_install() {
    if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then return 0; fi
    if [[ $host_id == debian ]] && can_install; then
        apt_install chromium chromium-driver
    else
        echo "chromium and chromedriver are missing, and set-up installs them on Debian only; the tests of the page are skipped"
    fi
}
