#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Runs the vendor's acceptance tests of the community's pages, all that ask a real server, against stock Vault and
# against a performance secondary, and says what passes on the one and not on the other.
#
#   scripts/compare-ui.sh                            all of them: half an hour on two cores
#   scripts/compare-ui.sh '/^Acceptance \| transit/'  some, by a regular expression over their names
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
mkdir -p .cache/ui/compare
make_tests
out=$PWD/.cache/ui/compare
vault=$PWD/bin/vault-replication

# real_tests is a regular expression for the tests of each file that replaces no answer of the server by one of its
# own, and is not of Enterprise.
real_tests() {
  local dir
  dir=$(go list -m -f '{{.Dir}}' github.com/hashicorp/vault)/ui/tests/acceptance
  grep -rLZ setupMirage "$dir" | xargs -0 grep -hoE "^ *module\(['\"\`]Acceptance [^'\"\`]+" | grep -v Enterprise |
    sed -E 's/^ *module\(.//; s/[|()*.\/]/\\&/g' | sort -u | paste -sd '|' | sed 's#.*#/^(&)/#'
}
filter=${1:-$(real_tests)}

primary=
stop_both() {
  stop_server
  server=$primary
  stop_server
}
trap stop_both EXIT

# new_root makes the token root on a cluster by a key share.
new_root() {
  local share=$1 otp nonce encoded token
  otp=$("$vault" operator generate-root -generate-otp)
  nonce=$("$vault" operator generate-root -init -otp="$otp" -format=json | jq -r .nonce)
  encoded=$("$vault" operator generate-root -format=json -nonce="$nonce" "$share" | jq -r .encoded_token)
  token=$("$vault" operator generate-root -decode="$encoded" -otp="$otp")
  VAULT_TOKEN=$token "$vault" token create -id=root -policy=root >/dev/null
}

run() {
  local name=$1
  say "the tests on $name"
  vendor_tests "$filter" "$VAULT_ADDR" >"$out/$name.tap" || true
  grep -E '^# (tests|pass|fail)' "$out/$name.tap" | paste -sd ' '
}

scripts/deps.sh jq
start_server bin/vault-plain 9300 "$out/stock.log"
run stock
stop_server

start_server "$vault" 9320 "$out/primary.log"
primary=$server
# The server says it a moment after it serves.
until share=$(grep -m1 '^Unseal Key: ' "$out/primary.log"); do sleep 0.2; done
share=${share#Unseal Key: }
export VAULT_TOKEN=root
"$vault" write -f sys/replication/performance/primary/enable >/dev/null
token=$("$vault" write -field=wrapping_token sys/replication/performance/primary/secondary-token id=eu)
start_server "$vault" 9340 "$out/secondary.log"
"$vault" write sys/replication/performance/secondary/enable "token=$token" primary_api_addr=http://127.0.0.1:9320 >/dev/null
until [ "$("$vault" read -field=state sys/replication/performance/status 2>/dev/null)" = stream-wals ]; do sleep 0.5; done
new_root "$share"
run secondary

passed() { sed -nE 's/^ok [0-9]+ [^[]*\[[0-9]+ ms\] - //p' "$out/$1.tap" | sort; }
worse=$(comm -23 <(passed stock) <(passed secondary))
if [ -n "$worse" ]; then
  printf 'these pass on stock Vault and not on a performance secondary:\n%s\n' "$worse" >&2
  exit 1
fi
say "no test fails on a performance secondary that passes on stock Vault"
