# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=bash
#
# Tools at a fixed version, built from source by the go command: the version that CI
# and every developer use is the one that the script names. They are not in go.mod,
# because there they would raise the versions of what the server links. A tool is the same bytes wherever it is built:
# an SBOM names the hash of the one that wrote it.

# tool prints the path of a tool, which it builds first where it is not there.
tool() {
  local name=$1 version=$2 package=$3 bin=$PWD/.cache/$1-$2 new
  if [ ! -x "$bin" ]; then
    printf '==> building %s %s (once)\n' "$name" "$version" >&2
    mkdir -p .cache
    new=$(mktemp -d .cache/new.XXXXXX)
    GOFLAGS=-trimpath CGO_ENABLED=0 GOBIN="$PWD/$new" go install "$package@$version" >&2
    mv "$new/$name" "$bin"
    rmdir "$new"
  fi
  printf '%s\n' "$bin"
}
