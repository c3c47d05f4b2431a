// SPDX-License-Identifier: MPL-2.0

// Package former knows the last writes of a former primary. Before the cluster follows another primary, it says which
// values the other one lacks.
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

// Note is what a cluster notes when it gives up the role of primary in a mode.
type Note struct {
	Version int               `json:"version"`
	SetID   string            `json:"set_id"`
	Epoch   replication.Epoch `json:"epoch"`
	// From and To are numbers of its journal. The note has the keys that it wrote after From.
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	// Terms lists the terms of its journal. A position in another term is of a history that the
	// cluster has lost.
	Terms []journal.TermStart `json:"terms"`
	// Open says that the cluster was written to after its journal had ended.
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

// listMax is the size of a list in bytes; every storage accepts it.
const listMax = 128 << 10

var stored = strictjson.Record{Name: "the note of a former primary", Version: 1, Open: true}

// size is an upper bound of its size in a list.
func (w *Write) size() int { return base64.StdEncoding.EncodedLen(len(w.Key)) + 64 }

// Prefix is the prefix of the note of a mode. The note has names of keys in clear, as the storage has them.
func Prefix(mode replication.Mode) string { return "replication/former/" + string(mode) + "/" }

// HeadKey has the note, without the keys.
func HeadKey(mode replication.Mode) string { return Prefix(mode) + "head" }

func listKey(mode replication.Mode, n int) string {
	return fmt.Sprintf("%slists/%08d", Prefix(mode), n)
}

// Notes keeps the notes in storage. They are written like other rows, because a DR secondary needs the note of
// performance mode: it takes over that role.
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
			note.From, writes = note.To, nil // then the number is not exact
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

// Opened says that this cluster has written more than its note says.
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

// writes reads the writes of a note after a sequence.
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
		all = append(all, slices.DeleteFunc(list, func(w Write) bool { return w.Sequence <= after })...)
	}
	return all, nil
}

// All has the writes of a note, nil if there is no note. It is not known yet which successor comes, and which of them
// that one has.
func (n Notes) All(ctx context.Context, mode replication.Mode) (*Own, error) {
	note, err := n.Get(ctx, mode)
	if err != nil || note == nil {
		return nil, err
	}
	own := &Own{Note: *note, Mode: mode}
	own.Writes, err = n.writes(ctx, mode, note, 0)
	return own, err
}

// Own has the writes of a former primary that its successor lacks.
type Own struct {
	Note
	Mode replication.Mode
	// After is the last position of this cluster that the new primary had, if that is known.
	After replication.Position
	// Exact says that Writes has all of them. Otherwise there may be more, and Why says why.
	Exact  bool
	Why    string
	Writes []Write
}

// Beside compares the writes of this cluster with the history of the primary that it will follow. It is nil if the
// primary has all of them. demoted says that this cluster was a primary and has followed nobody since.
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
