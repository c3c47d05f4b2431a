# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=bash
#
# Progress of long steps, for a person and for a log: one line every few seconds.

say() { printf '==> %s\n' "$*"; }

# count_packages reads what `go build -v` prints, a package a line as each is
# compiled, and prints how many of about how many are done. Anything else
# (errors, notes) is passed on.
count_packages() {
  local total=$1 line last=$SECONDS compiled=0
  while IFS= read -r line; do
    case $line in
      *' '* | '#'*) printf '%s\n' "$line" >&2 ;;
      *)
        compiled=$((compiled + 1))
        if ((SECONDS - last >= 5)); then
          last=$SECONDS
          printf '    compiled %d of about %d packages (%s)\n' "$compiled" "$total" "$line" >&2
        fi
        ;;
    esac
  done
}

# count_downloads reads what the go command prints while it fetches modules.
count_downloads() {
  local line last=$SECONDS n=0
  while IFS= read -r line; do
    case $line in
      'go: downloading '*)
        n=$((n + 1))
        if ((SECONDS - last >= 5)); then
          last=$SECONDS
          printf '    fetched %d modules (%s)\n' "$n" "${line#go: downloading }" >&2
        fi
        ;;
      *) printf '%s\n' "$line" >&2 ;;
    esac
  done
}

# count_tests reads what gotestsum prints of a suite of very many small tests, a line
# as each ends, and prints how many have passed. What else is said is passed on.
count_tests() {
  local line last=$SECONDS passed=0
  while IFS= read -r line; do
    case $line in
      PASS*)
        passed=$((passed + 1))
        if ((SECONDS - last >= 15)); then
          last=$SECONDS
          printf '    %d passed\n' "$passed"
        fi
        ;;
      *) printf '%s\n' "$line" ;;
    esac
  done
}
