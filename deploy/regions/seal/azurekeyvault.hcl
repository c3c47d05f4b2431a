# SPDX-License-Identifier: MPL-2.0
#
# Auto-unseal by Azure Key Vault. The nodes have a managed identity that may get, wrap and unwrap with the key.

seal "azurekeyvault" {
  vault_name = "vault-east-unseal"
  key_name   = "unseal"
}
