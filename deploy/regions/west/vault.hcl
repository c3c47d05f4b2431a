# SPDX-License-Identifier: MPL-2.0
#
# /etc/vault.d/vault.hcl of the three nodes in the region west. What differs from node to node is in node-<n>.env. One of
# the files in ../seal is beside it, as /etc/vault.d/seal.hcl.

cluster_name = "west"
# Raft maps its files into memory. With the server's memory locked they would count as locked too: switch swap off.
disable_mlock = true

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_cert_file   = "/etc/vault.d/tls/vault.pem"
  tls_key_file    = "/etc/vault.d/tls/vault.key"
}

storage "raft" {
  path = "/var/lib/vault"

  retry_join {
    leader_api_addr     = "https://vault-1.west.example:8200"
    leader_ca_cert_file = "/etc/vault.d/tls/ca.pem"
  }
  retry_join {
    leader_api_addr     = "https://vault-2.west.example:8200"
    leader_ca_cert_file = "/etc/vault.d/tls/ca.pem"
  }
  retry_join {
    leader_api_addr     = "https://vault-3.west.example:8200"
    leader_ca_cert_file = "/etc/vault.d/tls/ca.pem"
  }
}

# Rows for a secondary that is away: as long as an outage of the other region may take.
replication {
  slot_max_age = "72h"
}

telemetry {
  prometheus_retention_time = "10m"
  disable_hostname          = true
}
