# SPDX-License-Identifier: MPL-2.0
#
# What the token of a transit seal may do.

path "transit/encrypt/vault-east" {
  capabilities = ["update"]
}

path "transit/decrypt/vault-east" {
  capabilities = ["update"]
}
