#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Makes the release of this revision once more, in another folder and from another copy of Vault, and compares it with
# the one in dist/ (make reproduce). With GOCACHE it shares nothing that was compiled. The web page is the same one: two
# builds of it differ in names of files.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/progress.sh
. scripts/progress.sh

other=$(mktemp -d "${TMPDIR:-/tmp}/reproduce.XXXXXX")
# A copy of Vault cannot be written to.
trap 'chmod -R u+w "$other"; rm -rf "$other"' EXIT
git clone --quiet . "$other/some/other/folder"
git -C "$other/some/other/folder" checkout --quiet "$(git rev-parse HEAD)"
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
export VAULT_UI_CACHE=${VAULT_UI_CACHE:-$(dirname "$(go list -m -f '{{.Dir}}' github.com/hashicorp/vault)")}
(unset GOWORK && VAULT_SOURCE_CACHE=$other/vault "$other/some/other/folder/scripts/release.sh")
diff dist/SHA256SUMS "$other/some/other/folder/dist/SHA256SUMS"
say "the same bytes"
