// SPDX-License-Identifier: MPL-2.0

// Package stored looks at all that clusters on raft have stored: every key, its class by
// the product's own table, and its encrypted value. A shared value is sent unchanged, so
// both clusters of a set have the same bytes. If a key that is not shared has the same
// bytes, it was sent too.
package stored
