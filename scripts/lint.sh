#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# golangci-lint at a fixed version, built from source by the go command: the
# version that CI and every developer use is the one in this line.
set -euo pipefail
cd "$(dirname "$0")/.."
version=v2.15.0
export CGO_ENABLED=0
bin=${GOLANGCI_LINT:-.cache/golangci-lint-$version}
if [ ! -x "$bin" ]; then
  echo "==> building golangci-lint $version (some minutes, once)"
  GOFLAGS='' GOBIN="$PWD/.cache" go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version"
  mv .cache/golangci-lint "$bin"
fi
echo "==> go vet (reads the whole platform the first time)"
go vet ./...
echo "==> golangci-lint"
"$bin" run ./...
