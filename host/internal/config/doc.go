// SPDX-License-Identifier: MPL-2.0

// Package config reads what replication needs from the server's configuration files: the
// `replication` stanza that Vault Enterprise documents, with a few parameters of its own,
// and the top-level cluster_addr. Vault reads the files itself and ignores the stanza.
//
// Source of the parameters:
// https://developer.hashicorp.com/vault/docs/configuration/replication
package config
