// SPDX-License-Identifier: MPL-2.0

// Package walk walks through the keys of a storage in their order. It keeps listings for the next call, because large
// directories take long to list.
//
// It reads names, and whether a key exists. It never reads a value and never writes. It takes no lock of a key, so a
// walk does not see keys that are created behind it. Its caller must learn of later writes in another way: by the
// journal, or by the pass of an index.
package walk
