// SPDX-License-Identifier: MPL-2.0

// Package former knows what a cluster that was a primary has written last. When it is to
// follow another primary, it says which of its values that one does not have.
package former

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/internal/history"
	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/host/storage/primary"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// Note is what a cluster has noted when it gave up the role of primary in a mode.
type Note struct {
	Version int               `json:"version"`
	SetID   string            `json:"set_id"`
	Epoch   replication.Epoch `json:"epoch"`
	// From and To are numbers of its journal. The keys that it wrote after From are known.
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	// Terms lists the terms of its journal. A position in another term is of a history that the
	// cluster has lost.
	Terms []journal.TermStart `json:"terms"`
	// Open says that it was written to after its journal had ended.
	Open bool `json:"open,omitempty"`
	// Lists is how many lists of keys there are.
	Lists int `json:"lists,omitempty"`
}

// Write is the last write of a key.
type Write struct {
	// Key is bytes: in JSON a string that is not UTF-8 would become another one.
	Key      []byte `json:"key"`
	Sequence uint64 `json:"sequence"`
	Deleted  bool   `json:"deleted,omitempty"`
}

// listMax is how many bytes a list has: every storage takes them.
const listMax = 128 << 10

var stored = strictjson.Record{Name: "the note of a former primary", Version: 1, Open: true}

// size is a bound of what it takes in a list.
func (w *Write) size() int { return base64.StdEncoding.EncodedLen(len(w.Key)) + 64 }

// Prefix is below which the note of a mode is stored. It has names of keys, as the storage has.
func Prefix(mode replication.Mode) string { return "replication/former/" + string(mode) + "/" }

// HeadKey has the note, without the keys.
func HeadKey(mode replication.Mode) string { return Prefix(mode) + "head" }

func listKey(mode replication.Mode, n int) string {
	return fmt.Sprintf("%slists/%08d", Prefix(mode), n)
}

// Notes keeps the notes in storage. A DR secondary takes over the performance role, so it gets
// the note of that mode: notes are written as other rows are.
type Notes struct {
	Store physical.Backend // below the tap
	Write func(context.Context, []onestep.Row) error
}

// Put notes the end of a journal, in place of an earlier note.
func (n Notes) Put(ctx context.Context, mode replication.Mode, note Note, tail *primary.Tail) error {
	if err := n.Forget(ctx, mode); err != nil {
		return err
	}
	note.Version, note.Epoch, note.From, note.To = stored.Version, tail.Epoch, tail.From, tail.To
	note.Terms = tail.Terms
	var writes []Write
	for _, key := range slices.Sorted(maps.Keys(tail.Keys)) {
		last := tail.Keys[key]
		if !Concerns(key, last.Deleted) {
			continue
		}
		w := Write{Key: []byte(key), Sequence: last.Sequence, Deleted: last.Deleted}
		if w.size() > listMax {
			note.From, writes = note.To, nil // the number is not exact then
			break
		}
		writes = append(writes, w)
	}
	for len(writes) > 0 {
		bytes, end := 0, 0
		for end < len(writes) && bytes+writes[end].size() <= listMax {
			bytes += writes[end].size()
			end++
		}
		if err := n.put(ctx, listKey(mode, note.Lists), writes[:end]); err != nil {
			return err
		}
		note.Lists++
		writes = writes[end:]
	}
	return n.put(ctx, HeadKey(mode), note)
}

// Opened says that what was noted is not the last that this cluster has written.
func (n Notes) Opened(ctx context.Context, mode replication.Mode) error {
	note, err := n.Get(ctx, mode)
	if err != nil || note == nil {
		return err
	}
	note.Open = true
	return n.put(ctx, HeadKey(mode), note)
}

func (n Notes) put(ctx context.Context, key string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := n.Write(ctx, []onestep.Row{{Key: key, Value: raw}}); err != nil {
		return failure.Storage("note what this primary has written last", err)
	}
	return nil
}

// Get is the note of a mode, nil if there is none.
func (n Notes) Get(ctx context.Context, mode replication.Mode) (*Note, error) {
	e, err := n.Store.Get(ctx, HeadKey(mode))
	if err != nil {
		return nil, failure.Storage("read what this cluster wrote as a primary", err)
	}
	if e == nil {
		return nil, nil
	}
	note := new(Note)
	if err := stored.Decode(e.Value, note); err != nil {
		return nil, replication.Errorf(replication.StorageFailed, "%w", err)
	}
	return note, nil
}

// Forget removes the note of a mode.
func (n Notes) Forget(ctx context.Context, mode replication.Mode) error {
	keys, err := records.Stored(ctx, n.Store, Prefix(mode))
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := n.Write(ctx, []onestep.Row{{Key: key}}); err != nil {
			return failure.Storage("remove what was noted of a former primary", err)
		}
	}
	return nil
}

// writes reads what a note has after a sequence.
func (n Notes) writes(ctx context.Context, mode replication.Mode, note *Note, after uint64) ([]Write, error) {
	var all []Write
	for i := range note.Lists {
		e, err := n.Store.Get(ctx, listKey(mode, i))
		if err != nil {
			return nil, failure.Storage("read what this cluster wrote as a primary", err)
		}
		var list []Write
		if e == nil || json.Unmarshal(e.Value, &list) != nil {
			return nil, replication.Errorf(replication.StorageFailed, "a list of what this cluster wrote as a primary is "+
				"missing or malformed: %s", listKey(mode, i))
		}
		for _, w := range list {
			if w.Sequence > after {
				all = append(all, w)
			}
		}
	}
	return all, nil
}

// All is what a note has, nil if there is none. Which successor comes, and what of it that one has, is not known.
func (n Notes) All(ctx context.Context, mode replication.Mode) (*Own, error) {
	note, err := n.Get(ctx, mode)
	if err != nil || note == nil {
		return nil, err
	}
	own := &Own{Note: *note, Mode: mode}
	own.Writes, err = n.writes(ctx, mode, note, 0)
	return own, err
}

// Own is what a former primary has written and its successor does not have.
type Own struct {
	Note
	Mode replication.Mode
	// After is the last position of this cluster that the new primary had, if that is known.
	After replication.Position
	// Exact says that Writes has all of it. Otherwise there may be more: Why.
	Exact  bool
	Why    string
	Writes []Write
}

// Beside compares what this cluster wrote with the history of the primary that it is to
// follow. It is nil if there is nothing that the primary does not have. Demoted says that this
// cluster was a primary and has followed none since.
func (n Notes) Beside(ctx context.Context, mode replication.Mode, setID string, of history.History, demoted bool) (
	*Own, error) {
	note, err := n.Get(ctx, mode)
	if err != nil {
		return nil, err
	}
	if note == nil {
		if demoted {
			return &Own{Mode: mode, Why: "it was not noted what it wrote last"}, nil
		}
		return nil, nil
	}
	own := &Own{Note: *note, Mode: mode}
	since := of.Since(note.Epoch)
	if len(since) > 0 {
		own.After = since[0].After
	}
	has, _ := journal.Has(note.Terms, own.After)
	switch {
	case note.Open:
		own.Why = "it was written to after replication was disabled"
	case note.SetID != setID:
		own.Why = "it was a primary of another set"
	case slices.ContainsFunc(since, func(r history.Reign) bool { return r.Lacking }):
		own.Why = "the new primary did not have everything when it took over"
	case len(since) == 0 || own.After.Sequence < note.From:
		own.Why = "its journal does not reach back to where the new primary took over"
	case !has:
		own.Why = "its storage went back in time"
	default:
		own.Exact = true
	}
	if own.Writes, err = n.writes(ctx, mode, note, own.After.Sequence); err != nil {
		return nil, err
	}
	if own.Exact && len(own.Writes) == 0 {
		return nil, nil
	}
	return own, nil
}
