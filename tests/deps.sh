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
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
