#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# The vendor's tests of the web page for CI, which has a number of seconds left for them. They run where something that
# they test has changed since they passed on this machine, and their build is kept, which takes longer than CI can wait.
# Otherwise one line says why they do not. WEB_PAGE_TESTS=1 has them run in any case.
#
#   scripts/ci-ui.sh 1500
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/progress.sh
. scripts/progress.sh
export CGO_ENABLED=0
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
# shellcheck source=scripts/vendor-tests.sh
. scripts/vendor-tests.sh

left=$1
why_not() {
  if [ "${WEB_PAGE_TESTS:-}" = 1 ]; then
    return
  elif [ ! -e "$tests/tests/index.html" ]; then
    echo "their build is not kept on this machine (make test-ui makes it, WEB_PAGE_TESTS=1 asks for it here)"
  elif [ "$(cat "$tests.passed" 2>/dev/null)" = "$(tested)" ]; then
    echo "the page, the API and the version of Vault are as when they last passed"
  elif ! command -v node >/dev/null || ! command -v chromium >/dev/null; then
    echo "there is no node or no chromium"
  elif ((left < 600)); then
    echo "$left seconds are left, and they need up to 600"
  fi
}

reason=$(why_not)
if [ -n "$reason" ]; then
  say "the vendor's tests of the web page do not run: $reason"
  exit
fi
timeout --signal=TERM --kill-after=20s "$left" scripts/test-ui.sh
