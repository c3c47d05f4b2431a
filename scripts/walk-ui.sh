#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# A walk through Vault's web page by mouse: three real servers with TLS, both modes of replication, a failover of DR and
# back, in headless Chromium. Prints each step, and leaves screenshots in .cache/ui/walk (make walk-ui builds the page).
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/progress.sh
. scripts/progress.sh
export CGO_ENABLED=0
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh

say "installing what the walk needs"
scripts/deps.sh chromium
version=1.65.1
export PLAYWRIGHT=$PWD/.cache/ui/playwright-$version SCREENSHOTS=$PWD/.cache/ui/walk
if [ ! -e "$PLAYWRIGHT/node_modules/playwright-core/package.json" ]; then
  npm install --prefix "$PLAYWRIGHT" --no-save --ignore-scripts --no-audit --no-fund "playwright-core@$version"
fi
rm -rf "$SCREENSHOTS"
mkdir -p "$SCREENSHOTS"
say "walking"
VAULT_REPLICATION_BIN=$PWD/bin go test ./integration/webpage -vet=off -count=1 -v -timeout 15m
say "the screenshots are in .cache/ui/walk"
