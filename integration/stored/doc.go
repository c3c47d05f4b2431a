// SPDX-License-Identifier: MPL-2.0

// Package stored looks at all that clusters on raft have stored: every key, with
// the class that the product's own table of keys gives it, and the value as it is in
// the storage, encrypted. A shared value is sent as it is, so both clusters of a
// set have the same bytes; the same bytes for a key that is not shared mean that it
// was sent too.
package stored
