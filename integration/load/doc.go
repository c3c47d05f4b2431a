// SPDX-License-Identifier: MPL-2.0

// Package load writes to a Vault from several clients and keeps a journal of what was
// acknowledged. With it a test can say whether a copy is the original at one moment of its
// history.
//
// The rule is real-time order. A write that began after another one was acknowledged comes
// after it in every history that the clients could have seen. So if the copy has the later
// write, it must have the earlier one.
package load
