#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Installs what the tests need beside Go: PostgreSQL, for leases of a real
# database, Prometheus, for the alerts, and systemd, for its check of the unit; or the
# commands that it is given as Debian packages of the same names. Does nothing when all
# are there.
set -euo pipefail

have_postgres() { command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

missing=()
if [ $# -gt 0 ]; then
  for name in "$@"; do command -v "$name" >/dev/null || missing+=("$name"); done
else
  have_postgres || missing+=(postgresql)
  command -v prometheus >/dev/null || missing+=(prometheus)
  command -v systemd-analyze >/dev/null || missing+=(systemd)
fi
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "The tests need these Debian packages: ${missing[*]}. Run scripts/deps.sh as root, or: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  echo "The tests need ${missing[*]}, and this system has no apt-get: install them by hand." >&2
  exit 1
fi
echo "==> installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# The packages' own servers are not wanted: tests start some of their own.
if [[ " ${missing[*]} " == *" postgresql "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
  mkdir -p /etc/postgresql-common
  echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
fi
if [[ " ${missing[*]} " == *" prometheus "* && ! -e /etc/systemd/system/prometheus.service ]]; then
  mkdir -p /etc/systemd/system
  ln -s /dev/null /etc/systemd/system/prometheus.service
fi
apt-get install -y -qq --no-install-recommends "${missing[@]}"
