// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import "github.com/hashicorp/go-plugin"

const (
	// Name is the name that a host dispenses the plugin by.
	Name = "replication"
	// ProtocolVersion is the major version of the wire format: the key of the
	// versioned plugins. 2 has proofs.
	ProtocolVersion = 2
	// EnvLogLevel names the environment variable by which a host tells a plugin
	// the least level that it wants to be logged; info when unset.
	EnvLogLevel = "VAULT_REPLICATION_PLUGIN_LOG_LEVEL"
)

// Handshake lets a plugin say "do not run me by hand" and a host refuse a program that is
// no replication plugin. It gives no security: the checksum and AutoMTLS do. The cookie
// never changes.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		MagicCookieKey:   "VAULT_REPLICATION_PLUGIN",
		MagicCookieValue: "c2f9be31-6f0b-4d6e-9a45-8f7d1f0c5a9e",
	}
}

// Versions is the set of protocol versions that this code speaks, for either
// side.
func Versions(p *Plugin) map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{ProtocolVersion: {Name: p}}
}
