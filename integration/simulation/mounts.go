// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// A run in performance mode has mounts. Four are there all the time, and the writers write to
// three of them. An operator makes others, takes them away, makes them local, and changes the
// paths filters of secondaries. What a host does about it is done here in its place, over the
// same calls of the storage: see host/internal/role/mounts, filters and host/internal/follow.

// mountsPlan is what the seed decides of that.
type mountsPlan struct {
	filtered []bool // by secondary: its paths filter changes
	changes  int
}

func newMountsPlan(rng *rand.Rand, secondaries int) *mountsPlan {
	p := &mountsPlan{changes: 6 + rng.IntN(14)}
	for range secondaries {
		p.filtered = append(p.filtered, rng.IntN(2) == 0)
	}
	return p
}

// lasting are the mounts that are there all the time: those of the writers, and one whose
// backend declares some of its storage as local.
var lasting = []vaultname.Mount{{Path: "a/", UUID: "a", Type: "kv"}, {Path: "b/", UUID: "b", Type: "kv"},
	{Path: "c/", UUID: "c", Type: "kv"}, {Path: "p/", UUID: "p", Type: "pki"}}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it is made here
	}
	return b
}

func decodeTable(b []byte) (mounts []vaultname.Mount, err error) {
	if b == nil {
		return nil, nil
	}
	return mounts, json.Unmarshal(b, &mounts)
}

// rule is the paths filter of a secondary: UUIDs that it hides, and the rules before it.
type rule struct {
	Revision int
	Hidden   []string
	Former   []rule
}

func (f *rule) hides(uuid string) bool { return f != nil && slices.Contains(f.Hidden, uuid) }

// hidSince says whether a rule after a revision and before this one has hidden a mount.
func (f *rule) hidSince(revision int, uuid string) bool {
	return f != nil && slices.ContainsFunc(f.Former, func(o rule) bool { return o.Revision > revision && o.hides(uuid) })
}

func filterKey(id string) string {
	return vaultname.ReplicationFilters + hex.EncodeToString([]byte(id))
}

// hidingKey keeps what a secondary has taken up of its filter.
const hidingKey = vaultname.Replication + "hiding"

// readInto reads a record of the node, past the tap; nothing leaves it as it is.
func (p *process) readInto(ctx context.Context, key string, v any) error {
	e, err := p.tap.Inner().Get(ctx, key)
	if err != nil || e == nil {
		return err
	}
	return json.Unmarshal(e.Value, v)
}

// loadMounts learns the mounts from what is stored, before anything else is done.
func (p *process) loadMounts(ctx context.Context) error {
	if p.node.role == replication.Primary {
		p.tap.Observe(&tables{p: p})
	}
	if p.node.sim.plan.mounts == nil {
		return nil
	}
	p.known = keyclass.NewMounts()
	p.tap.Classes().SetMounts(p.known)
	declared := keyclass.Declared{}
	if err := p.readInto(ctx, keyclass.DeclaredKey, &declared); err != nil {
		return err
	}
	p.known.SetRecorded(declared)
	for table := range keyclass.Tables {
		var mounts []vaultname.Mount
		if err := p.readInto(ctx, table, &mounts); err != nil {
			return err
		}
		if _, err := p.known.SetTable(table, mounts); err != nil {
			return err
		}
	}
	if p.node.role != replication.Primary {
		return nil
	}
	for i := range p.node.sim.secondaries {
		var f rule
		if err := p.readInto(ctx, filterKey(secondaryID(i)), &f); err != nil {
			return err
		}
		if err := p.tap.SetFilter(ctx, p.node.sim.mode, secondaryID(i), p.allows(secondaryID(i), &f)); err != nil {
			return err
		}
	}
	return nil
}

// allows says which keys a secondary gets by a filter; nil for all.
func (p *process) allows(id string, f *rule) func(string) bool {
	if tamper := p.node.sim.tamper.filter; tamper != nil {
		f = tamper(f)
	}
	return f.allows(p, id)
}

func (f *rule) allows(p *process, id string) func(string) bool {
	if len(f.Hidden) == 0 {
		return nil
	}
	return func(key string) bool {
		if strings.HasPrefix(key, vaultname.ReplicationFilters) {
			return key == filterKey(id)
		}
		view, ok := p.known.View(key)
		return !ok || !f.hides(view.UUID)
	}
}

// tables is who is told on the primary, of the tables that its core writes above all.
type tables struct {
	storage.Nobody
	p *process
}

// TableWritten implements storage.Observer.
func (t *tables) TableWritten(ctx context.Context, key string, value []byte) error {
	changed, err := t.learn(key, value)
	if err != nil {
		return err
	}
	return t.p.tap.Reclassify(ctx, changed...)
}

func (t *tables) learn(key string, value []byte) (changed []string, err error) {
	if key == keyclass.DeclaredKey {
		declared, err := keyclass.DecodeDeclared(value)
		if err != nil {
			return nil, err
		}
		return t.p.known.SetRecorded(declared), nil
	}
	mounts, err := decodeTable(value)
	if err != nil {
		return nil, err
	}
	return t.p.known.SetTable(key, mounts)
}
