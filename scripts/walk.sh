#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# An operator's walk: types each command of README.md and docs/runbook.md at real servers, and
# prints what they print (make walk builds them).
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
VAULT_REPLICATION_BIN=$PWD/bin go test ./integration -vet=off -run '^TestDocumentsThatOperatorsFollow$' -count=1 -v \
  -timeout 15m | sed -E 's/^ +player\.go:[0-9]+: //'
