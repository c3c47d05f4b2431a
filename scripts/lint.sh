#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# golangci-lint over the packages of this project. Its configuration is
# .golangci.yml; go vet is one of its linters.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/progress.sh
. scripts/progress.sh
# shellcheck source=scripts/tools.sh
. scripts/tools.sh

export CGO_ENABLED=0
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
lint=$(tool golangci-lint v2.15.0 github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
say "golangci-lint"
"$lint" run "${@:-./...}"
