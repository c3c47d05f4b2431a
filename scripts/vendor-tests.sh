# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=bash
#
# The vendor's own tests of the web page, for the scripts that run them. Sourced after scripts/prepare.sh.

# The built tests are kept beside the page, so that a second run, and CI, need neither its packages nor ten minutes.
tests=$(go run ./scripts/uisource tests)
testem=$PWD/.cache/ui/testem-3.16.0

# make_tests builds the tests, and installs what runs them.
make_tests() {
  scripts/deps.sh chromium
  if [ ! -e "$testem/node_modules/testem/package.json" ]; then
    npm install --prefix "$testem" --no-save --ignore-scripts --no-audit --no-fund --loglevel=error \
      "testem@${testem##*-}"
  fi
  if [ -e "$tests/tests/index.html" ]; then
    return
  fi
  scripts/ui.sh source
  local work part=$tests.part.$$
  work=$PWD/.cache/ui/$(basename "$(go run ./scripts/uisource page)")
  say "building the vendor's tests: as long as the page itself"
  go run ./scripts/uisource edit-tests "$work"
  rm -rf "$work/dist-test"
  if ! (cd "$work" && PATH=$work/node_modules/.bin:$PATH ember build --environment=test --output-path=dist-test 2>&1) |
    watch_step building .cache/ui/ember-test.log; then
    tail -n 40 .cache/ui/ember-test.log >&2
    exit 1
  fi
  # Those of a build that was cut must not have the name of whole ones.
  rm -rf "$part"
  cp -r "$work/dist-test" "$part"
  mv -T "$part" "$tests"
}

# tested differs where something that the tests are of has changed: the page, the API, the version of Vault, themselves.
tested() {
  git ls-files -z -- go.mod scripts/{ui,test-ui,vendor-tests}.sh scripts/{uisource,vaultsource} scripts/testem.js \
    host/internal/api host/internal/node host/internal/routing host/internal/webui ':!*_test.go' |
    xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

server=
stop_server() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" || true
  fi
  server=
}

# start_server has a server in memory with the token root at a port of this machine, as the vendor does for the tests.
start_server() {
  local binary=$1 port=$2 log=$3
  export VAULT_ADDR=http://127.0.0.1:$port
  "$binary" server -dev -dev-ha -dev-transactional -dev-root-token-id=root -dev-no-store-token \
    -dev-listen-address="127.0.0.1:$port" >"$log" 2>&1 &
  server=$!
  until "$binary" status >/dev/null 2>&1; do
    if ! kill -0 "$server" 2>/dev/null; then
      tail -n 20 "$log" >&2
      exit 1
    fi
    sleep 0.2
  done
}

# vendor_tests runs the tests of a name, or of a /regular expression/, against the server at an address.
vendor_tests() {
  FILTER=$1 VAULT_ADDR=$2 TESTS=$tests "$testem/node_modules/.bin/testem" ci --file scripts/testem.js --port 0
}
