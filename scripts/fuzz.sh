#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Runs each fuzz test for a while, one after the other: FUZZTIME=1m scripts/fuzz.sh
# What is found is kept below testdata/fuzz of its package, to be committed with
# the mend.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/progress.sh
. scripts/progress.sh

export CGO_ENABLED=0
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
time=${FUZZTIME:-10s}
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do
  for name in $(grep -h '^func Fuzz' "$dir"/*_test.go | sed 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/'); do
    say "$dir: $name for $time"
    go test -vet=off -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$dir"
  done
done
say "no fuzz test has found anything"
