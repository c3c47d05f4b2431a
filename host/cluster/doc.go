// SPDX-License-Identifier: MPL-2.0

// Package cluster puts replication on Vault's cluster port, beside request
// forwarding and raft, told apart by the ALPN name of each mode.
//
// The port keeps its one listener and its TLS policy; a mode brings its own root
// of trust: a client is let in only with a certificate of the CA that the
// plugin of that mode gave. Which of those certificates are still wanted is
// decided by the plugin, which is handed every connection with the certificate.
package cluster
