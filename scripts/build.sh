#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Builds bin/vault-replication, bin/plugins/* and bin/vault-plain (stock Vault of
# the same module versions, for tests and the benchmark). With UI=required, as for a
# release, it fails without Vault's web page.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/progress.sh
. scripts/progress.sh

export CGO_ENABLED=0
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
packages=(./host ./plugin/dr ./plugin/performance ./integration/vaultplain)
# Vault's web page, where make ui has built it for this version and these edits.
flag=$(go run ./scripts/uisource overlay .cache/page.json)
page=(${flag:+"$flag"})
if [ ${#page[@]} -eq 0 ]; then
  if [ "${UI:-}" = required ]; then
    echo "There is no web page of Vault for this version and these edits: run make ui first." >&2
    exit 1
  fi
  say "building without Vault's web page (make ui builds it)"
fi
say "looking what there is to compile"
stale=$(go list "${page[@]}" -deps -f '{{if .Stale}}{{.ImportPath}}{{end}}' "${packages[@]}" 2> >(count_downloads) | wc -l)
if [ "$stale" -gt 200 ]; then
  say "$stale packages to compile; the first build takes about ten minutes on two cores"
fi

# One command for all, so that there is one count; the files are moved into place
# together, and a failed build leaves the former ones.
new=bin/.new
rm -rf "$new"
trap 'rm -rf "$new"' EXIT
mkdir -p bin/plugins "$new"
# The linker is the slow part of a small change. A binary that is up to date is not
# linked again where go build finds it in place.
keep() { if [ -e "$1" ]; then cp "$1" "$new/$2"; fi; }
keep bin/vault-replication host
keep bin/plugins/replication-dr dr
keep bin/plugins/replication-performance performance
keep bin/vault-plain vaultplain
# That of the revision: without one Vault says that it was built a year before it was started.
built=$(TZ=UTC git show -s --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd HEAD 2>/dev/null || date -u +%Y-%m-%dT00:00:00Z)
go build "${page[@]}" -v -ldflags "-s -w -X github.com/hashicorp/vault/version.BuildDate=$built" -o "$new/" "${packages[@]}" 2> >(count_packages "$stale")
mv "$new/host" bin/vault-replication
mv "$new/dr" bin/plugins/replication-dr
mv "$new/performance" bin/plugins/replication-performance
mv "$new/vaultplain" bin/vault-plain
say "built bin/vault-replication, bin/plugins/replication-dr, bin/plugins/replication-performance, bin/vault-plain"
