#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# The vendor's own tests of the pages of replication, out of the Vault module, in headless Chromium against a real
# server (make test-ui). Other tests: scripts/test-ui.sh 'Acceptance | auth'
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/progress.sh
. scripts/progress.sh
export CGO_ENABLED=0
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh

say "installing what the tests need"
scripts/deps.sh chromium
scripts/ui.sh source
work=$PWD/.cache/ui/$(basename "$(go run ./scripts/uisource page)")
export PATH=$work/node_modules/.bin:$PATH

if [ ! -e "$work/dist-test/tests/index.html" ]; then
  say "building the tests: as long as the page itself"
  # The tests log in with this token.
  echo 'export default { unsealKeys: [], rootToken: "root" };' >"$work/tests/helpers/vault-keys.js"
  rm -rf "$work/dist-test.new"
  if ! (cd "$work" && ember build --environment=test --output-path=dist-test.new 2>&1) |
    watch_step building .cache/ui/ember-test.log; then
    tail -n 40 .cache/ui/ember-test.log >&2
    exit 1
  fi
  mv "$work/dist-test.new" "$work/dist-test"
fi

server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true' EXIT
failed=0

# run starts a server of its own for the tests of a name, as the vendor does.
run() {
  local filter=$1 port=$2 status=0
  say "$filter"
  export VAULT_ADDR=http://127.0.0.1:$port
  bin/vault-replication server -dev -dev-ha -dev-transactional -dev-root-token-id=root -dev-no-store-token \
    -dev-listen-address="127.0.0.1:$port" >.cache/ui/server.log 2>&1 &
  server=$!
  until bin/vault-replication status >/dev/null 2>&1; do
    if ! kill -0 "$server" 2>/dev/null; then
      tail -n 20 .cache/ui/server.log >&2
      exit 1
    fi
    sleep 0.2
  done
  (cd "$work" && ember test --path dist-test --config-file "$OLDPWD/scripts/testem.js" --filter "$filter") || status=$?
  kill "$server"
  wait "$server" || true
  server=
  if [ "$status" -ne 0 ]; then failed=1; fi
}

filters=("$@")
if [ ${#filters[@]} -eq 0 ]; then
  filters=('Acceptance | Enterprise | replication' 'Integration | Component | replication'
    'Integration | Component | clients' 'Unit | Service | api')
fi
port=9200
for filter in "${filters[@]}"; do
  run "$filter" "$port"
  port=$((port + 10)) # the port of before may not be free yet
done
if [ "$failed" -ne 0 ]; then
  echo "some of the vendor's tests failed" >&2
  exit 1
fi
say "all of the vendor's tests passed"
