// SPDX-License-Identifier: MPL-2.0

// Package integration has the end-to-end suites: real servers, real plugins,
// stock clients. They run the binaries in the folder named by
// VAULT_REPLICATION_BIN and are skipped without it; `make test` builds and names
// it. Package cluster starts the servers, package content loads and compares
// everything a Vault can hold, package load writes under a journal of what was
// acknowledged.
package integration
