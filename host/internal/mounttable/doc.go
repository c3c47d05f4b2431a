// SPDX-License-Identifier: MPL-2.0

// Package mounttable reads Vault's mount, auth and audit tables without Vault. It says what
// to do to a running core so that it has the mounts of a table that the primary wrote.
//
// Everything here is a pure function of two tables. [Diff] compares what the core runs with
// what is stored, by the identity of a mount (its UUID). A mount with another path is
// moved, not made anew. A mount with the same path and another UUID is another mount. The
// steps can be done in their order without two mounts at one path.
package mounttable
