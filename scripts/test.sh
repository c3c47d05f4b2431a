#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# All tests: what is quick to fail first, then the build, then real servers.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/progress.sh
. scripts/progress.sh
# shellcheck source=scripts/tools.sh
. scripts/tools.sh

export CGO_ENABLED=0
# Only the integration suites below are to see the binaries.
unset VAULT_REPLICATION_BIN

say "installing what the tests need"
scripts/deps.sh

# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh

say "gofmt"
unformatted=$(find . -name '*.go' -not -path './bin/*' -not -path './.cache/*' -print0 | xargs -0 gofmt -l)
if [ -n "$unformatted" ]; then
  printf 'these files are not formatted (run gofmt -w):\n%s\n' "$unformatted" >&2
  exit 1
fi

# Packages that do not link the platform compile in seconds, also with the race
# detector. The others would have to compile its 2,600 packages again for that,
# and vet would have to read all of them: make lint does, where there is time.
platform='github.com/hashicorp/vault/(vault|http|command)( |$)'
light=$(go list -f '{{.ImportPath}} {{join .Deps " "}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... |
  grep -Ev "$platform" | cut -d' ' -f1)
heavy=$(comm -23 <(go list ./... | sort) <(sort <<<"$light"))
# Of those only the ones with tests: a package without is no reason to link it.
# shellcheck disable=SC2086
heavy=$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' $heavy)

say "go vet"
# shellcheck disable=SC2086
go vet $light

# Prints each package or test as it ends, and what failed once more at the end.
gotestsum=$(tool gotestsum v1.13.0 gotest.tools/gotestsum)
packages() { "$gotestsum" --format pkgname --format-hide-empty-pkg --hide-summary skipped -- -vet=off "$@"; }
tests() { "$gotestsum" --format testname --hide-summary skipped -- -vet=off "$@"; }

say "unit tests with the race detector"
# shellcheck disable=SC2086
CGO_ENABLED=1 packages -race -timeout 10m $light

# The race detector makes each seed ten times as slow: a few of them ran with it above.
say "the simulation, ten thousand seeds"
tests -timeout 15m ./integration/simulation | count_tests

scripts/build.sh

say "unit tests of the packages that link the platform"
if [ -n "$heavy" ]; then
  # shellcheck disable=SC2086
  packages -timeout 15m $heavy
fi

suites=$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./integration/... | grep -v '/integration/simulation$')
# shellcheck disable=SC2046
say "integration tests with the binaries in bin/: $(cat $(go list -f '{{range .XTestGoFiles}}{{$.Dir}}/{{.}} {{end}}' $suites) |
  grep -c '^func Test') tests and their parts"
# shellcheck disable=SC2086
VAULT_REPLICATION_BIN="$PWD/bin" tests -timeout 50m -count=1 -p 1 $suites
say "all tests passed"
