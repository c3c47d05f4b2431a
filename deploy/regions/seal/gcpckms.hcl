# SPDX-License-Identifier: MPL-2.0
#
# Auto-unseal by Google Cloud KMS. The nodes have a service account that may encrypt and decrypt with the key.

seal "gcpckms" {
  project    = "vault-east"
  region     = "europe-west3"
  key_ring   = "vault"
  crypto_key = "unseal"
}
