#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Upgrades from the release before: builds its binaries from the revision OLD, in a worktree of
# its own, and runs the tests that start them and then the ones in bin/ (make upgrade builds
# those). By default that is the last revision that linked another version of Vault.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/progress.sh
. scripts/progress.sh

raised=$(git log -1 --format=%H -G '^\s*github.com/hashicorp/vault v' -- go.mod)
OLD=${OLD:-$raised^}
export CGO_ENABLED=0
revision=$(git rev-parse --verify --quiet "$OLD^{commit}") || {
  echo "there is no revision $OLD here: fetch the whole history (git fetch --unshallow), or name another one with OLD=" >&2
  exit 1
}
tree=$PWD/.cache/old-${revision:0:12}
if [ ! -e "$tree/bin/vault-replication" ]; then
  say "building revision ${revision:0:12} in $tree"
  if [ ! -e "$tree" ]; then
    git worktree prune
    git worktree add --detach "$tree" "$revision"
  fi
  # Its own version of Vault, not the one that go.work of this tree names.
  GOWORK=off "$tree/scripts/build.sh"
fi
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
say "upgrading from $("$tree/bin/vault-replication" version) to $(bin/vault-replication version)"
VAULT_REPLICATION_OLD_BIN=$tree/bin VAULT_REPLICATION_BIN=$PWD/bin \
  go test ./integration -vet=off -run '^TestUpgrade' -count=1 -v -timeout 30m
