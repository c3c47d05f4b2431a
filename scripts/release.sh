#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Builds what is released into dist/: an archive of this revision, its SBOMs and SHA256SUMS. The same revision makes the
# same bytes in any folder, with the same version of Go (docs/adr/0037-a-release-is-the-same-bytes.md). GOOS and GOARCH
# name another platform.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/progress.sh
. scripts/progress.sh
# shellcheck source=scripts/tools.sh
. scripts/tools.sh

# Of the tree, not of what else lies in it: the archive says which revision it is.
if [ -n "$(git status --porcelain)" ]; then
  echo "A release is made of a revision: commit or remove what git status shows." >&2
  exit 1
fi
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false LC_ALL=C
umask 022
platform=(GOOS="$(go env GOOS)" GOARCH="$(go env GOARCH)")
unset GOOS GOARCH # the tools below run here
built=$(TZ=UTC git show -s --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd HEAD)
version=$(git describe --tags --exact-match --match 'v[0-9]*' HEAD 2>/dev/null) ||
  version=v0.0.0-$(tr -d ':TZ-' <<<"$built")-$(git rev-parse --short=12 HEAD)
name=vault-replication_${version#v}_${platform[0]#*=}_${platform[1]#*=}
work=$PWD/.cache/release
stage=$work/$name
rm -rf "$stage"
mkdir -p "$stage/plugins" "$stage/sbom" dist

# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
# A binary names the folder of a module that was replaced. Through a link that name is the same everywhere.
ln -sfn "$(go list -m -f '{{.Dir}}' github.com/hashicorp/vault)" "$work/vault"
sed -e 's|^use \.$|use ../..|' -e 's|=> .*$|=> ./vault|' go.work >"$work/go.work"
[ ! -e go.work.sum ] || cp go.work.sum "$work/go.work.sum"

page=$(go run ./scripts/uisource overlay .cache/page.json)
if [ -z "$page" ]; then
  echo "A release has Vault's web page: run make ui, which make release does by itself." >&2
  exit 1
fi
export GOWORK=$work/go.work
flags="-s -w -buildid= -X github.com/hashicorp/vault/version.BuildDate=$built \
  -X 'github.com/hashicorp/vault/version.GitCommit=vault-replication $version'"
say "building $name; the first time takes as long as the first make build"
build() { env "${platform[@]}" go build -trimpath -ldflags "$flags" -o "$stage/$1" "${@:2}"; }
build vault-replication "$page" ./host
build plugins/replication-dr ./plugin/dr
build plugins/replication-performance ./plugin/performance
binaries=(vault-replication plugins/replication-dr plugins/replication-performance)

say "licences of what is linked"
(cd "$stage" && sha256sum "${binaries[@]}" >SHA256SUMS)
go run ./scripts/release licences "$stage/licences" "${binaries[@]/#/$stage/}"

say "SBOM"
bom=$(tool cyclonedx-gomod v1.10.0 github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod)
for binary in "${binaries[@]}"; do
  "$bom" bin -json -noserial -notimestamp -version "$version" -output "$stage/sbom/${binary##*/}.cdx.json" "$stage/$binary"
done

say "packing"
git archive HEAD README.md CHANGELOG.md CONTRIBUTING.md LICENSE deploy docs | tar -x -C "$stage"
find "$stage/deploy" "$stage/docs" -name '*.go' -delete
rm -f dist/*
go run ./scripts/release archive "$stage" "$name" "$built" "dist/$name.tar.gz"
for sbom in "$stage"/sbom/*; do cp "$sbom" "dist/${name}_${sbom##*/}"; done
rm -rf "$stage"
(cd dist && sha256sum -- * >.sums && mv .sums SHA256SUMS)
cat dist/SHA256SUMS
