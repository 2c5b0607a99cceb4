#!/bin/sh
# Installs the Debian packages named as arguments that are missing, saying which.
# DEPS=0: installs nothing; names what is missing and fails.
set -eu
missing=
for p in "$@"; do
    dpkg-query -W -f='${Status}\n' "$p" 2>/dev/null | grep -q ' installed$' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "${DEPS:-1}" = 0 ]; then
    echo "missing packages:$missing" >&2
    echo "install them with: apt-get install$missing" >&2
    exit 1
fi
command -v apt-get >/dev/null || {
    echo "these packages are needed, and there is no apt-get here to install them:$missing" >&2
    exit 1
}
echo "installing:$missing" >&2
sudo=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "not root and no sudo: run as root: apt-get install$missing" >&2
        exit 1
    }
    sudo=sudo
fi
failed() { # what apt-get could not do
    echo "apt-get could not $1 (its message stands above); install by hand:$missing" >&2
    exit 1
}
$sudo apt-get update -qq || failed "update its lists"
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $missing >/dev/null || failed "install them"
