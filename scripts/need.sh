#!/bin/sh
# need.sh command=package ...: sees to it that the commands exist. Root on Debian or Ubuntu gets them installed;
# anyone else is told in one sentence what to install.
set -eu
missing=
packages=
for pair in "$@"; do
  command -v "${pair%%=*}" >/dev/null && continue
  missing="$missing ${pair%%=*}"
  packages="$packages ${pair#*=}"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing$packages"
  # shellcheck disable=SC2086
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages; } \
    >/dev/null 2>&1 && exit 0
fi
echo "This needs$missing: install the packages$packages (on Debian and Ubuntu: sudo apt install$packages)." >&2
exit 1
