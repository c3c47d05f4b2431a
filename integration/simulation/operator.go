// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// operator changes the mounts and filters of the primary.
type operator struct {
	r     *run
	rng   *rand.Rand
	made  int
	wrote int
}

// operate makes the changes of the plan.
func (r *run) operate(ctx context.Context) {
	m := r.plan.mounts
	if m == nil {
		return
	}
	o := &operator{r: r, rng: r.plan.stream(200)}
	for range m.changes {
		pause(ctx, short(o.rng, 2*r.plan.length/time.Duration(m.changes)))
		p := r.primary.now()
		if ctx.Err() != nil {
			return
		}
		if p == nil || !p.admit() {
			continue
		}
		what, err := o.change(ctx, p)
		p.writes.Done()
		r.primary.say("operator: %s: %v", what, err)
		if err == nil {
			r.sums(what)
		}
	}
}

// What an operator does.
const (
	mounted      = "mounts made"
	unmounted    = "mounts removed"
	madeLocal    = "mounts that became local"
	declaredSome = "mounts that became known after they were written to"
	filterSet    = "paths filters changed"
	keyWritten   = "keys of such mounts written"
)

func (o *operator) change(ctx context.Context, p *process) (what string, err error) {
	var shared, local []vaultname.Mount
	if err := p.readInto(ctx, vaultname.Mounts, &shared); err != nil {
		return "read", err
	}
	if err := p.readInto(ctx, vaultname.LocalMounts, &local); err != nil {
		return "read", err
	}
	passing := shared[len(lasting):]
	kind := o.rng.IntN(8)
	if len(passing) == 0 {
		kind = 0
	}
	switch kind {
	case 0, 1:
		return mounted, o.mount(ctx, p, shared)
	case 2:
		return unmounted, o.unmount(ctx, p, shared, passing[o.rng.IntN(len(passing))])
	case 3:
		m := passing[o.rng.IntN(len(passing))]
		if err := o.table(ctx, p, vaultname.LocalMounts, append(local, m)); err != nil {
			return madeLocal, err
		}
		return madeLocal, o.table(ctx, p, vaultname.Mounts, without(shared, m))
	case 4:
		return declaredSome, o.declare(ctx, p, passing)
	case 5, 6:
		return filterSet, o.filter(ctx, p, passing)
	default:
		return keyWritten, o.write(ctx, p, passing[o.rng.IntN(len(passing))])
	}
}

func without(mounts []vaultname.Mount, m vaultname.Mount) []vaultname.Mount {
	return slices.DeleteFunc(slices.Clone(mounts), func(o vaultname.Mount) bool { return o.UUID == m.UUID })
}

func (o *operator) table(ctx context.Context, p *process, table string, rows any) error {
	return p.tap.Backend().Put(ctx, &physical.Entry{Key: table, Value: encode(rows)})
}

// mount makes a mount. Its backend writes before the table has it, and after.
func (o *operator) mount(ctx context.Context, p *process, shared []vaultname.Mount) error {
	o.made++
	uuid := fmt.Sprintf("m%d", o.made)
	m := vaultname.Mount{Path: uuid + "/", UUID: uuid, Type: "kv"}
	if o.rng.IntN(3) == 0 {
		m.Type, m.External = "ext", true
	}
	if err := o.write(ctx, p, m); err != nil {
		return err
	}
	if err := o.table(ctx, p, vaultname.Mounts, append(shared, m)); err != nil {
		return err
	}
	return o.write(ctx, p, m)
}

// half notes a mount whose backend has declared what of it is local, and that record is not
// stored: its keys may have been sent, and nobody knows them any more.
func (r *run) half(uuid string, is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.halfMade == nil {
		r.halfMade = map[string]bool{}
	}
	r.halfMade[uuid] = is
}

// oneMoreTable stores the table of mounts once more, without those that have become local. It is
// the next one, with which what is left of mounts that never came goes from the secondaries.
func (r *run) oneMoreTable(ctx context.Context) {
	for r.plan.mounts != nil && ctx.Err() == nil {
		if p := r.primary.now(); p != nil && p.admit() {
			var shared, local []vaultname.Mount
			err := errors.Join(p.readInto(ctx, vaultname.Mounts, &shared), p.readInto(ctx, vaultname.LocalMounts, &local))
			for _, m := range local {
				shared = without(shared, m)
			}
			if err == nil {
				err = p.tap.Backend().Put(ctx, &physical.Entry{Key: vaultname.Mounts, Value: encode(shared)})
			}
			p.writes.Done()
			if err == nil {
				return
			}
		}
		pause(ctx, time.Second)
	}
}

// write writes a key of a mount, or deletes it, and one that is local to the primary.
func (o *operator) write(ctx context.Context, p *process, m vaultname.Mount) error {
	o.wrote++
	local := &physical.Entry{Key: localKeys[o.rng.IntN(len(localKeys))], Value: fmt.Appendf(nil, "primary's %d", o.wrote)}
	if err := p.tap.Backend().Put(ctx, local); err != nil {
		return err
	}
	key := fmt.Sprintf("logical/%s/%s%d", m.UUID, []string{"", "", "wal/"}[o.rng.IntN(3)], o.rng.IntN(4))
	if o.rng.IntN(4) == 0 {
		return p.tap.Backend().Delete(ctx, key)
	}
	return p.tap.Backend().Put(ctx, &physical.Entry{Key: key, Value: fmt.Appendf(nil, "operator's %d", o.wrote)})
}

func (o *operator) unmount(ctx context.Context, p *process, shared []vaultname.Mount, m vaultname.Mount) error {
	if _, err := p.tap.ClearView(ctx, vaultname.EngineViews+m.UUID+"/"); err != nil {
		return err
	}
	return o.table(ctx, p, vaultname.Mounts, without(shared, m))
}

// declare lets the backend of a mount that is no part of Vault say what of it is local.
func (o *operator) declare(ctx context.Context, p *process, passing []vaultname.Mount) error {
	declared := keyclass.Declared{}
	if err := p.readInto(ctx, keyclass.DeclaredKey, &declared); err != nil {
		return err
	}
	i := slices.IndexFunc(passing, func(m vaultname.Mount) bool { _, has := declared[m.UUID]; return m.External && !has })
	if i < 0 {
		return errors.New("there is none")
	}
	uuid := passing[i].UUID
	declared[uuid] = []string{"wal/"}
	o.r.half(uuid, true)
	if err := o.table(ctx, p, keyclass.DeclaredKey, declared); err != nil {
		return err
	}
	o.r.half(uuid, false)
	return nil
}

// filter changes the filter of a secondary.
func (o *operator) filter(ctx context.Context, p *process, passing []vaultname.Mount) error {
	i := o.rng.IntN(len(o.r.secondaries))
	if !o.r.plan.mounts.filtered[i] {
		return errors.New("it has none")
	}
	var old rule
	if err := p.readInto(ctx, filterKey(secondaryID(i)), &old); err != nil {
		return err
	}
	f := rule{Revision: old.Revision + 1, Former: append(old.Former, rule{Revision: old.Revision, Hidden: old.Hidden})}
	for _, m := range passing {
		if o.rng.IntN(2) == 0 {
			f.Hidden = append(f.Hidden, m.UUID)
		}
	}
	// What other secondaries got for a filter is left out while it has one, and compared after.
	o.r.mayCopy(o.r.secondaries[i])
	o.r.primary.say("the filter of %s hides %v", secondaryID(i), f.Hidden)
	id := secondaryID(i)
	err := p.tap.ChangeFilter(ctx, o.r.mode, id, p.allows(id, &f), func() error {
		return p.tap.Backend().Put(ctx, &physical.Entry{Key: filterKey(id), Value: encode(f)})
	})
	if err == nil {
		return nil
	}
	// It may be stored all the same. What is stored is in force.
	var stored rule
	for p.readInto(context.Background(), filterKey(id), &stored) != nil && !p.handle.over() {
		time.Sleep(100 * time.Millisecond)
	}
	return errors.Join(err, p.tap.SetFilter(context.Background(), o.r.mode, id, p.allows(id, &stored)))
}
