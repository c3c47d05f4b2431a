# SPDX-License-Identifier: MPL-2.0
#
# Auto-unseal by the transit engine of another Vault, one in each region: a region must be able to start alone. Its token
# is an orphan, periodic, and has transit-policy.hcl; the server renews it. It is a secret: this file is readable for the
# server alone.

seal "transit" {
  address     = "https://unseal.east.example:8200"
  tls_ca_cert = "/etc/vault.d/tls/ca.pem"
  token       = "hvs.EXAMPLE"
  mount_path  = "transit/"
  key_name    = "vault-east"
}
