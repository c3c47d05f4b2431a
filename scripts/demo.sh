#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# The demo with the binaries in bin/ (make demo builds them).
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
go run ./integration/demo -bin "$PWD/bin"
