// SPDX-License-Identifier: MPL-2.0

// Package catalog keeps the replication plugins that may run and supervises their
// processes.
//
// [Catalog] is the register: names, commands in the plugin directory, SHA-256 checksums.
// The plugins that are built with the host are in it by default. An operator's entry of the
// same name takes a plugin's place until it is deleted.
//
// [Supervisor] runs the plugin of one name. It starts it with its checksum pinned and with
// mutual TLS, watches for its exit and for hangs, restarts it with growing pauses, and
// swaps it on demand. The rest of the host talks to [Supervisor.Backend], which is
// Unavailable while there is no process. A faulty plugin can do no more harm than that.
//
// A plugin process never outlives the host. It exits when its attachment ends (package
// shared/grpcplugin). On Linux the kernel also kills it when the host dies, even if the
// program is no replication plugin.
package catalog
