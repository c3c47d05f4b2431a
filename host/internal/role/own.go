// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/history"
	"github.com/vault-replication/vault-replication/host/internal/role/former"
	"github.com/vault-replication/vault-replication/host/internal/role/kept"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// ownWrites has the writes of a primary that its successor lacks. They are noted when the primary gives up its role.
// When it is to follow another primary, it is refused, or they are kept.
type ownWrites struct {
	core   *vaultcore.Core
	tap    *storage.Tap
	store  physical.Backend
	mounts *keyclass.Mounts
	roles  *roles
	logger hclog.Logger
}

func (o *ownWrites) notes() former.Notes { return former.Notes{Store: o.store, Write: o.tap.Step} }

func (o *ownWrites) book() kept.Book { return kept.Book{Barrier: o.core, Store: o.store} }

// note notes the last writes of a primary that gives up its role, after the last of them. When a former primary becomes
// a cluster without a role, it notes that the cluster may be written to again.
func (o *ownWrites) note(ctx context.Context, ch *change) error {
	open := ch.to == replication.Disabled
	if ch.from != replication.Primary {
		if open {
			return o.notes().Opened(ctx, ch.mode)
		}
		return nil
	}
	tail, err := o.tap.Tail(ctx, ch.mode)
	if err != nil {
		return err
	}
	return o.notes().Put(ctx, ch.mode, former.Note{SetID: o.roles.Record().mode(ch.mode).SetID, Open: open}, tail)
}

// reigns adds the records of where the former histories end, for a promotion, in each mode in which it begins a new
// history. It is called when nothing more is applied.
func (o *ownWrites) reigns(ctx context.Context, ch *change) error {
	if ch.to == replication.Disabled {
		ch.rows[history.Key(ch.mode)] = nil
	}
	if ch.from != replication.Secondary || ch.to != replication.Primary {
		return nil
	}
	// The noted writes now belong to this cluster's own history, which its secondaries get.
	ch.rows[former.HeadKey(ch.mode)] = nil
	cur, err := o.tap.Secondary(ch.mode).Cursor(ctx)
	if err != nil {
		return err
	}
	if err := o.addReign(ctx, ch, ch.mode, cur, cur.Position); err != nil || !ch.mode.StandsIn() ||
		ch.after.mode(ofClients).Role != replication.Primary {
		return err
	}
	role, err := inherited(ctx, o.core)
	if err != nil {
		return err
	}
	// A cluster has one journal for all modes.
	at := cur.Position
	at.Epoch = role.Epoch
	return o.addReign(ctx, ch, ofClients, cur, at)
}

func (o *ownWrites) addReign(ctx context.Context, ch *change, mode replication.Mode, cur *replication.Cursor,
	after replication.Position) error {
	h, err := history.Load(ctx, o.core, mode)
	if err == nil {
		lacking := ch.lacking || !cur.Consistent() || cur.Missing > 0
		h = h.With(history.Reign{Epoch: ch.after.mode(mode).Epoch, After: after, Lacking: lacking})
		ch.rows[history.Key(mode)], err = h.Encode()
	}
	return err
}

// beside has the writes of this cluster that the primary which it is to follow lacks. Without keep it is an error if
// there are any.
func (o *ownWrites) beside(ctx context.Context, mode replication.Mode, setID string, of history.History, keep bool) (
	*former.Own, error) {
	now := o.roles.Record().mode(mode)
	demoted := now.Role == replication.Secondary && now.Pairing == nil
	own, err := o.notes().Beside(ctx, mode, setID, of, demoted)
	for _, m := range modes {
		if own == nil && err == nil && now.Role == replication.Disabled && m != mode {
			// The primary that this cluster joins may have followed it in another mode.
			own, err = o.notes().Beside(ctx, m, setID, nil, false)
		}
	}
	if err != nil || own == nil {
		return nil, err
	}
	own.Mode = mode
	if demoted {
		own.Epoch = now.Epoch
	}
	if keep {
		return own, nil
	}
	// The status shows it to everybody.
	o.roles.setFailure(mode, own.Summary().Error())
	return nil, own.Refusal(o.mounts)
}

// keep keeps the values, all or nothing. It has no deadline and ends only with the active duty: a client that has left
// finds the values kept at its next attempt.
func (o *ownWrites) keep(own *former.Own) (*endpoints.KeptFile, error) {
	ctx, err := o.roles.active()
	if err != nil {
		return nil, err
	}
	id := fmt.Sprintf("%s-%.8s-%d-all", own.Mode, own.Epoch.ID, own.To)
	switch {
	case own.Exact:
		id = fmt.Sprintf("%s-%.8s-%d-%d", own.Mode, own.Epoch.ID, own.After.Sequence, own.To)
	case own.Open:
		id += time.Now().UTC().Format("-20060102T150405")
	}
	have, err := o.book().Get(ctx, id)
	if err == nil || replication.KindOf(err) != replication.NotFound {
		// Nothing was written here since, and content from a primary must not replace the kept values.
		return have, err
	}
	w, err := o.book().Write(ctx, endpoints.KeptFile{ID: id, Mode: own.Mode, Exact: own.Exact})
	if err != nil {
		return nil, err
	}
	f, err := o.fill(ctx, w, own)
	if err != nil {
		if err := w.Drop(); err != nil {
			o.logger.Warn("what was kept before this failed stays in storage until it is tried again", "id", id, "error", err)
		}
		return nil, err
	}
	o.logger.Info("kept values that this former primary has and the new one does not", "id", id, "values", f.Values,
		"exact", f.Exact)
	return f, nil
}

func (o *ownWrites) fill(ctx context.Context, w *kept.Writer, own *former.Own) (*endpoints.KeptFile, error) {
	if own.Exact {
		for _, write := range own.Writes {
			if err := o.add(ctx, w, string(write.Key)); err != nil {
				return nil, err
			}
		}
		return w.Close()
	}
	all, err := walk.New(ctx, o.store, "")
	if err != nil {
		return nil, err
	}
	classes := o.tap.Classes()
	concerns := func(key string) bool {
		return former.Concerns(key, false) && slices.ContainsFunc(modes, func(m replication.Mode) bool {
			return classes.Replicated(m, key)
		})
	}
	for {
		keys, err := all.Group(ctx, concerns, "")
		if err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			return w.Close()
		}
		for _, key := range keys {
			if err := o.add(ctx, w, key); err != nil {
				return nil, err
			}
		}
	}
}

func (o *ownWrites) add(ctx context.Context, w *kept.Writer, key string) error {
	value, err := o.core.GetEntry(ctx, key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("the value of %s cannot be read, so nothing was kept or changed: %w", key, err)
	}
	return w.Add(endpoints.KeptValue{Key: []byte(key), Place: former.Place(o.mounts, key), Deleted: value == nil,
		Value: value})
}

// followed are the rows of a cluster that follows a primary from now on: its note is settled.
func (o *ownWrites) followed(mode replication.Mode, of history.History, rows map[string][]byte) (
	[]onestep.Row, error) {
	var err error
	if rows[history.Key(mode)], err = of.Encode(); err != nil {
		return nil, err
	}
	return []onestep.Row{{Key: former.HeadKey(mode)}}, nil
}

// keptWrites are those that are kept, and those that may have to be.
type keptWrites struct {
	kept.Book
	own *ownWrites
}

// NotKept is what this cluster has noted as a former primary, for whichever primary comes.
func (k keptWrites) NotKept(ctx context.Context) (list []endpoints.KeptFile, err error) {
	for _, mode := range modes {
		own, err := k.own.notes().All(ctx, mode)
		if err != nil {
			return nil, err
		}
		if own != nil && (len(own.Writes) > 0 || own.Open) {
			list = append(list, endpoints.KeptFile{Mode: mode, Exact: !own.Open, Values: len(own.Writes),
				Places: own.Places(k.own.mounts)})
		}
	}
	return list, nil
}

// keptText is what a client is told.
func keptText(f *endpoints.KeptFile) string {
	return fmt.Sprintf("%d values that the new primary does not have are kept here as %q: see them with "+
		"vault-replication replication kept read -id=%s, and remove them when nobody needs them.", f.Values, f.ID, f.ID)
}
