// SPDX-License-Identifier: MPL-2.0

package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Storage keys of the journal and the records beside it. The cursor and the missing keys of performance mode are Local,
// so that a promoted DR secondary has them; all others are Own.
const (
	// RowPrefix is a prefix that Vault's cache does not keep, so rows do not displace other entries there.
	RowPrefix = "wal/logs/"
	HeadKey   = "replication/journal/head"
)

// RowKey is the key of a row. Its width is fixed, so that the order of the keys is the order of the numbers.
func RowKey(term, sequence uint64) string {
	return fmt.Sprintf("%s%08x/%016x", RowPrefix, term, sequence)
}

// TermPrefix is the directory of a term's rows.
func TermPrefix(term uint64) string { return fmt.Sprintf("%s%08x/", RowPrefix, term) }

// CursorKey is where a secondary keeps its cursor of a mode.
func CursorKey(mode replication.Mode) string { return "replication/" + string(mode) + "/cursor" }

// MissingKey is where a secondary keeps which keys its storage refuses.
func MissingKey(mode replication.Mode) string { return "replication/" + string(mode) + "/missing" }

// SlotPrefix is the directory of a mode's slots.
func SlotPrefix(mode replication.Mode) string { return "replication/" + string(mode) + "/slots/" }

// SlotKey is the key of a slot. It has a hash of the id, because an id may have any characters, and a name of fixed
// length fits every storage. The record has the id in full.
func SlotKey(mode replication.Mode, id string) string {
	sum := sha256.Sum256([]byte(id))
	return SlotPrefix(mode) + hex.EncodeToString(sum[:])
}
