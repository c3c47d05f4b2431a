#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Builds Vault's own web page, with the pages of replication, out of the Vault module and npm's packages (make ui).
# It is kept beside the copy of Vault that the server is built from, by the version of Vault and all that is edited;
# make build embeds it from there. It needs bin/vault-plain, whose OpenAPI document the page's client is made of.
#
#   scripts/ui.sh         the page
#   scripts/ui.sh source  what is needed to build it: source and packages, below .cache/ui
#   scripts/ui.sh lock    writes scripts/uisource/lock.txt anew, when the edits ask for other packages
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/progress.sh
. scripts/progress.sh
export CGO_ENABLED=0
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh

page=$(go run ./scripts/uisource page)
if [ $# -eq 0 ] && [ -e "$page/vault-replication.txt" ]; then
  say "Vault's web page is there: $page"
  exit
fi

node=$(node --version 2>/dev/null || true)
if [[ $node != v20.* ]]; then
  echo "Vault's web page is built with node 20; here is ${node:-no node}. On Debian 13: apt-get install nodejs" >&2
  exit 1
fi
if [ ! -x bin/vault-plain ]; then
  echo "There is no bin/vault-plain: run make build first." >&2
  exit 1
fi

logs=$PWD/.cache/ui
work=$logs/$(basename "$page")
if [ "${1:-}" = lock ]; then work=$logs/lock; fi
export YARN_GLOBAL_FOLDER=$logs/yarn
registry=${npm_config_registry:-$(npm config get registry 2>/dev/null || true)}
export YARN_NPM_REGISTRY_SERVER=${registry:-https://registry.npmjs.org}
export PATH=$work/node_modules/.bin:$PATH
yarn() { node "$work"/.yarn/releases/yarn-*.cjs "$@"; }

# step runs a long command with progress; its words are in a log, and on the screen when it fails.
step() {
  local what=$1 log=$logs/$2.log
  shift 2
  if ! (cd "$work" && "$@" 2>&1) | watch_step "$what" "$log"; then
    tail -n 40 "$log" >&2
    echo "$what failed; all that it said is in $log" >&2
    exit 1
  fi
}

if [ ! -e "$work/.ready" ]; then
  say "making the source of Vault's web page"
  rm -rf "$work"
  mkdir -p "$logs"
  go run ./scripts/uisource source "$work" bin/vault-plain
  if [ "${1:-}" = lock ]; then
    step "asking npm for what the edits name" yarn yarn install --mode=update-lockfile
    go run ./scripts/uisource lock "$work"
    rm -rf "$work"
    exit
  fi
  go run ./scripts/uisource pin "$work"
  say "fetching its packages from ${YARN_NPM_REGISTRY_SERVER#https://}: 1,870 of them, 1.2 GB on the disk"
  step "fetching" yarn yarn install --immutable
  go run ./scripts/uisource installed "$work"
  step "bundling jsondiffpatch" webpack webpack --config webpack.jsondiffpatch.config.js
  touch "$work/.ready"
fi
if [ "${1:-}" = source ]; then
  exit
fi

say "building the page: 5 to 10 minutes and up to 4.4 GB of memory"
step "building" ember ember build --environment=production --output-path=dist
go run ./scripts/uisource keep "$work/dist"
