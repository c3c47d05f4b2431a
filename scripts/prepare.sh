# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=bash
#
# Makes the copy of Vault that the server is built from, and go.work, which names it: seconds
# the first time, then one. Whatever needs packages that link Vault sources this file.

# Not with the go.work that is there: it may name a copy that is gone.
GOWORK=off go run ./scripts/vaultsource
export GOWORK=$PWD/go.work
