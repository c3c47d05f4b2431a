// SPDX-License-Identifier: MPL-2.0

// Package walk goes through the keys of a storage in their order, and keeps what it has
// listed for the next call: large directories take as long to list as they are large.
//
// It reads names, and whether a key exists. It never reads a value and never writes. It takes
// no lock of a key: a key that is created behind a walk is not seen, so whoever walks must
// be told of later writes in another way, by the journal or by the pass of an index.
package walk
