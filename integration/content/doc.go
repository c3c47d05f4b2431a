// SPDX-License-Identifier: MPL-2.0

// Package content loads a Vault with every class of content and reads all of it back
// through the API, so that a cluster can be compared with itself before and after a
// failover. A [Class] makes its part and reads it.
package content
