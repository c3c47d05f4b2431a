#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# The vendor's own tests of the pages of replication, out of the Vault module, in headless Chromium against a real
# server (make test-ui). Their build is kept beside the page.
#
#   scripts/test-ui.sh                       the tests of replication, client counts and the API's client
#   scripts/test-ui.sh 'Acceptance | auth'   others, by their names
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/progress.sh
. scripts/progress.sh
export CGO_ENABLED=0
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
# shellcheck source=scripts/vendor-tests.sh
. scripts/vendor-tests.sh

say "installing what the tests need"
mkdir -p .cache/ui
make_tests

trap stop_server EXIT
failed=0
filters=("$@")
if [ ${#filters[@]} -eq 0 ]; then
  filters=('Acceptance | Enterprise | replication' 'Integration | Component | replication'
    'Integration | Component | clients' 'Unit | Service | api')
fi
port=9200
for filter in "${filters[@]}"; do
  say "$filter"
  start_server bin/vault-replication "$port" .cache/ui/server.log
  vendor_tests "$filter" "http://127.0.0.1:$port" || failed=1
  stop_server
  port=$((port + 10)) # the port of before may not be free yet
done
if [ "$failed" -ne 0 ]; then
  echo "some of the vendor's tests failed" >&2
  exit 1
fi
if [ $# -eq 0 ]; then
  tested >"$tests.passed" # scripts/ci-ui.sh asks
fi
say "all of the vendor's tests passed"
