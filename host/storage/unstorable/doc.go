// SPDX-License-Identifier: MPL-2.0

// Package unstorable knows what a storage refuses for good: a value above its limit, a name that it cannot have. Of
// tells such a refusal from a failure that passes. List has the keys that a secondary lacks because of refusals. Absent
// answers for storage that fails to read or delete keys that it can never have.
package unstorable
