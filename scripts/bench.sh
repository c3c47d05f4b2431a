#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# The benchmark with the binaries in bin/ (make bench builds them). Arguments are
# passed on, see: scripts/bench.sh -help
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
# A row that needs PostgreSQL says so where it cannot be installed.
scripts/deps.sh || true
go run ./integration/bench -bin "$PWD/bin" "$@"
