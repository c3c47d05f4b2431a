// SPDX-License-Identifier: MPL-2.0

// Package mounttable reads Vault's mount, auth and audit tables without Vault,
// and says what must be done to a running core so that it has the mounts of a
// table that the primary wrote.
//
// Everything here is a pure function of two tables. [Diff] compares what the
// core runs with what is stored, by the identity of a mount (its UUID): a mount
// that has another path is moved, not made anew, and one with the same path and
// another UUID is another mount. Its steps are in the order in which they can be
// done one after the other without two mounts at one path.
package mounttable
