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

# watch_step reads what a long step prints, for which its own words are of little use, into a log, and says every
# fifteen seconds how long it has been at work and what it said last.
watch_step() {
  local what=$1 log=$2 line status said='' start=$SECONDS last=$SECONDS
  : >"$log"
  while true; do
    status=0
    IFS= read -r -t 5 line || status=$?
    if ((status == 0)); then
      printf '%s\n' "$line" >>"$log"
      if [ -n "$line" ]; then said=" (${line:0:70})"; fi
    elif ((status <= 128)); then
      break # the step has ended; above 128 it only said nothing for a while
    fi
    if ((SECONDS - last >= 15)); then
      last=$SECONDS
      printf '    %s, %d s%s\n' "$what" $((SECONDS - start)) "$said"
    fi
  done
  printf '    %s took %d s\n' "$what" $((SECONDS - start))
}
