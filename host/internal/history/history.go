// SPDX-License-Identifier: MPL-2.0

// Package history knows where one history of writes ended and the next began: at which position of its primary a
// cluster was promoted. Each cluster of a set keeps what it knows, and hands it to clusters that join it.
package history

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// Reign is the history that began with a promotion.
type Reign struct {
	Epoch replication.Epoch `json:"epoch"`
	// After is the last position of the former primary that the promoted cluster had applied.
	After replication.Position `json:"after"`
	// Lacking says that it lacked some of that primary's content up to there.
	Lacking bool `json:"lacking,omitempty"`
}

// History is the reigns of a set, as far as a cluster knows them, the oldest first.
type History []Reign

// most is how many reigns are kept.
const most = 64

// With is the history with one more reign.
func (h History) With(r Reign) History {
	h = append(slices.Clone(h), r)
	return h[max(0, len(h)-most):]
}

// Since is the reigns that followed an epoch, none if the history does not name it.
func (h History) Since(epoch replication.Epoch) History {
	for i, r := range slices.Backward(h) {
		if r.After.Epoch == epoch {
			return h[i:]
		}
	}
	return nil
}

// Key is where a cluster keeps the history of a mode, behind the barrier.
func Key(mode replication.Mode) string { return vaultname.Replication + string(mode) + "/history" }

type record struct {
	Version int     `json:"version"`
	Reigns  History `json:"reigns"`
}

var stored = strictjson.Record{Name: "the record of former primaries", Version: 1, Open: true}

// Encode is the stored form, nil for a history without reigns.
func (h History) Encode() ([]byte, error) {
	if len(h) == 0 {
		return nil, nil
	}
	return json.Marshal(record{Version: stored.Version, Reigns: h})
}

// Store reads records behind the barrier.
type Store interface {
	GetEntry(ctx context.Context, key string) ([]byte, error)
}

// Load reads the history of a mode. It is empty if nobody was promoted, or if that release kept no history.
func Load(ctx context.Context, store Store, mode replication.Mode) (History, error) {
	raw, err := store.GetEntry(ctx, Key(mode))
	if err != nil || raw == nil {
		return nil, err
	}
	var r record
	if err := stored.Decode(raw, &r); err != nil {
		return nil, replication.Errorf(replication.StorageFailed, "the record of former primaries cannot be read: %w", err)
	}
	return r.Reigns, nil
}
