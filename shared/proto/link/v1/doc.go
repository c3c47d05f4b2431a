// SPDX-License-Identifier: MPL-2.0

// Package linkv1 is the generated wire between the replication plugins of two
// clusters; link.proto says what each call means. Its checks and conversions to
// the types of package replication are in plugin/engine/link.
package linkv1
