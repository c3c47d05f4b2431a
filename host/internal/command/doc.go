// SPDX-License-Identifier: MPL-2.0

// Package command is "vault-replication replication …" beside Vault's own subcommands: it
// shows the clusters of a replication set and moves the role of primary. It uses the public
// API alone (packages view and roleswitch), so it works on any machine that reaches the clusters,
// and with any version that answers the documented fields.
//
// Where it connects, and with which token and certificates, is said as for Vault's own
// commands: VAULT_ADDR, VAULT_TOKEN or the token helper, VAULT_CACERT and so on.
package command
