// SPDX-License-Identifier: MPL-2.0

// Package catalog keeps the replication plugins that may run and supervises
// their processes.
//
// [Catalog] is the register: names, commands in the plugin directory, SHA-256
// checksums. The plugins that are built with the host are in it by default; an
// operator's entry of the same name takes their place until it is deleted.
//
// [Supervisor] runs the plugin of one name: starts it with its checksum pinned
// and mutual TLS, watches for its exit and for hangs, restarts it with growing
// pauses, swaps it on demand. The rest of the host talks to [Supervisor.Backend],
// which is Unavailable while there is no process. Nothing that a plugin does
// wrong reaches further than that.
//
// A plugin process never outlives the host: it exits when its attachment ends
// (package shared/grpcplugin), and on Linux the kernel kills it when the host
// dies, which also covers a program that is no replication plugin.
package catalog
