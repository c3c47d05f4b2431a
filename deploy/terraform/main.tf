# SPDX-License-Identifier: MPL-2.0
#
# DR replication of two clusters that run: east becomes the primary, west its secondary. This is done once. Changes of role
# are for people, or for "vault-replication replication": nothing here undoes or repeats them.
#
# The activation is by a public key, because a response-wrapped token is no field that this resource can hand on. The
# token is in the state of Terraform, and of no use to anybody but west, once.

terraform {
  required_version = ">= 1.5"
  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = ">= 4.0"
    }
  }
}

variable "east_address" { type = string }
variable "west_address" { type = string }

variable "east_token" {
  type      = string
  sensitive = true
}

# Of no use once west is a secondary: from then on it has the tokens of east.
variable "west_token" {
  type      = string
  sensitive = true
}

variable "primary_cluster_addr" {
  type        = string
  default     = ""
  description = "Where the secondary connects, if that is a load balancer: https://vault-cluster.east.example:8201"
}

provider "vault" {
  alias   = "east"
  address = var.east_address
  token   = var.east_token
}

# A DR secondary makes no child tokens.
provider "vault" {
  alias                  = "west"
  address                = var.west_address
  token                  = var.west_token
  skip_child_token       = true
  skip_get_vault_version = true
}

# These endpoints are actions: there is nothing to read back, and to remove the resource changes nothing in Vault.
resource "vault_generic_endpoint" "primary" {
  provider       = vault.east
  path           = "sys/replication/dr/primary/enable"
  disable_read   = true
  disable_delete = true
  data_json      = jsonencode({ primary_cluster_addr = var.primary_cluster_addr })
}

resource "vault_generic_endpoint" "public_key" {
  provider       = vault.west
  path           = "sys/replication/dr/secondary/generate-public-key"
  disable_read   = true
  disable_delete = true
  data_json      = jsonencode({})
  write_fields   = ["secondary_public_key"]
}

resource "vault_generic_endpoint" "token" {
  provider       = vault.east
  depends_on     = [vault_generic_endpoint.primary]
  path           = "sys/replication/dr/primary/secondary-token"
  disable_read   = true
  disable_delete = true
  write_fields   = ["token"]
  data_json = jsonencode({
    id                   = "west"
    secondary_public_key = vault_generic_endpoint.public_key.write_data["secondary_public_key"]
  })
}

# This replaces everything that west holds.
resource "vault_generic_endpoint" "secondary" {
  provider       = vault.west
  path           = "sys/replication/dr/secondary/enable"
  disable_read   = true
  disable_delete = true
  data_json      = jsonencode({ token = vault_generic_endpoint.token.write_data["token"] })
}
