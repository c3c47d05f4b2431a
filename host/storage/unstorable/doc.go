// SPDX-License-Identifier: MPL-2.0

// Package unstorable knows what a storage refuses for good: a value that is larger than
// it takes, a name that it cannot have. Of tells such a refusal from a failure that
// passes; List keeps which keys a secondary lacks because of it; Absent answers for
// storage that fails to read or delete what it can never have.
package unstorable
