// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// hiding is what a performance secondary has taken up of its filter.
type hiding struct {
	Revision int
	Hidden   []string
}

// BeforeApply implements storage.Observer: the classes are right when a batch is applied.
func (c *core) BeforeApply(_ context.Context, b *txn.Batch) error {
	if c.p.known == nil {
		return nil
	}
	var changed []string
	for table := range keyclass.Tables {
		e, comes := b.Get(table)
		if !comes {
			continue
		}
		var mounts []vaultname.Mount
		var err error
		if e != nil {
			if mounts, err = decodeTable(e.Value); err != nil {
				return err
			}
		}
		more, err := c.p.known.SetTable(table, mounts)
		if err != nil {
			return err
		}
		changed = append(changed, more...)
	}
	if e, comes := b.Get(keyclass.DeclaredKey); comes && e != nil {
		declared, err := keyclass.DecodeDeclared(e.Value)
		if err != nil {
			return err
		}
		changed = append(changed, c.p.known.SetRecorded(declared)...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsettled = append(c.unsettled, changed...)
	return nil
}

// decided takes up tables, what backends have declared, and the filter. It returns those of
// the keys that it could not take up.
func (c *core) decided(ctx context.Context, keys []string) (left []string) {
	own := filterKey(c.p.node.name)
	keys = slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return key != own && !keyclass.Decides(key) })
	if c.p.known == nil || len(keys) == 0 || c.p.node.sim.tamper.deaf {
		return nil
	}
	c.mu.Lock()
	changed := c.unsettled
	c.unsettled = nil
	c.mu.Unlock()
	err := c.settle(ctx, changed)
	if err == nil {
		err = c.review(ctx, c.p.tap.Secondary(c.p.node.sim.mode).ForceCopyApplied)
	}
	if err == nil {
		err = c.readAll(ctx)
	}
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsettled = append(c.unsettled, changed...)
	return keys
}

// settled says whether nothing is left to be done about a change of classes.
func (c *core) settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.unsettled) == 0
}

// cleared says whether nothing is left of mounts that are gone.
func (c *core) cleared() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.uncleared) == 0
}

// settle makes of views whose classes have changed what they are now.
func (c *core) settle(ctx context.Context, changed []string) error {
	if err := c.p.tap.Reclassify(ctx, changed...); err != nil {
		return err
	}
	c.mu.Lock()
	c.uncleared = append(c.uncleared, changed...)
	c.mu.Unlock()
	c.clear(ctx)
	return nil
}

// clear deletes what mounts that are gone have left, once the tables are of one position: until
// then one may be older than one that came before it.
func (c *core) clear(ctx context.Context) {
	c.mu.Lock()
	views := c.uncleared
	c.mu.Unlock()
	at, err := c.p.tap.Secondary(c.p.node.sim.mode).Cursor(ctx)
	for len(views) > 0 && err == nil && (at.AtOnePosition() || !c.p.tap.Classes().Orphan(views[0]+"key")) {
		if c.p.tap.Classes().Orphan(views[0] + "key") {
			if _, err = c.p.tap.ClearView(ctx, views[0]); err != nil {
				break
			}
		}
		views = views[1:]
	}
	c.mu.Lock()
	c.uncleared = views
	c.mu.Unlock()
	if len(views) > 0 {
		time.AfterFunc(time.Second, func() {
			if end, ok := c.turn(); ok {
				defer end()
				c.clear(context.Background())
			}
		})
	}
}

// turn is that of who takes something up, while the node has its duty.
func (c *core) turn() (end func(), ok bool) {
	select {
	case <-c.p.handle.dead:
		return nil, false
	default:
	}
	select {
	case c.taking <- struct{}{}:
		return func() { <-c.taking }, true
	case <-c.p.handle.dead:
		return nil, false
	}
}

// review takes up the filter. A copy is forced before it is kept that the filter lets more in,
// and what it hides is deleted after.
func (c *core) review(ctx context.Context, force func(context.Context) error) error {
	var f rule
	old := &hiding{Revision: -1}
	var shared []vaultname.Mount
	if err := errors.Join(c.p.readInto(ctx, filterKey(c.p.node.name), &f), c.p.readInto(ctx, hidingKey, old),
		c.p.readInto(ctx, vaultname.Mounts, &shared)); err != nil {
		return err
	}
	now := &hiding{Revision: f.Revision}
	widened := false
	for _, m := range shared {
		switch {
		case f.hides(m.UUID):
			now.Hidden = append(now.Hidden, m.UUID)
		case old.Revision >= 0:
			widened = widened || slices.Contains(old.Hidden, m.UUID) || f.hidSince(old.Revision, m.UUID)
		}
	}
	if widened {
		if err := force(ctx); err != nil {
			return err
		}
		c.p.node.sim.mayCopy(c.p.node)
	}
	if now.Revision != old.Revision || !slices.Equal(now.Hidden, old.Hidden) {
		if err := c.p.tap.Inner().Put(ctx, &physical.Entry{Key: hidingKey, Value: encode(now)}); err != nil {
			return err
		}
	}
	if widened {
		c.p.node.say("the filter lets more in: a copy is forced")
		go c.p.copyAgain(context.WithoutCancel(ctx))
	}
	for _, uuid := range now.Hidden {
		if _, err := c.p.tap.ClearView(ctx, vaultname.EngineViews+uuid+"/"); err != nil {
			return err
		}
	}
	return nil
}

// copyAgain begins the copy that was forced, also where no row comes.
func (p *process) copyAgain(ctx context.Context) {
	p.mu.Lock()
	g := p.plugin
	p.mu.Unlock()
	if g == nil || g.over() {
		return
	}
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-g.dead:
		return
	}
	if err := g.engine.Recover(context.WithoutCancel(ctx)); err != nil {
		p.node.say("the engine does not begin again, so the plugin ends: %v", err)
		g.kill()
	}
}

// readAll reads all that the core has in memory.
func (c *core) readAll(ctx context.Context) error {
	c.p.node.disk.mu.Lock()
	keys := slices.Collect(maps.Keys(c.p.node.disk.rows))
	c.p.node.disk.mu.Unlock()
	has := map[string][]byte{}
	for _, key := range keys {
		if !c.keeps(key) {
			continue
		}
		e, err := c.p.tap.Backend().Get(ctx, key)
		if err != nil {
			return err
		}
		if e != nil {
			has[key] = e.Value
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.has = has
	return nil
}

// keeps says whether the core has a key in memory.
func (c *core) keeps(key string) bool { return c.p.replicates(key) }

// replicates says whether a key is of the content, by what the node knows of the mounts.
func (p *process) replicates(key string) bool {
	if p.known == nil {
		return p.node.sim.history.replicated(key)
	}
	return p.tap.Classes().Replicated(p.node.sim.mode, key)
}

// mayCopy notes that something has happened which costs a secondary a copy.
func (r *run) mayCopy(n *node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost[n.name]++
}

// fillMounts gives the nodes the mounts that are there before replication begins.
func (r *run) fillMounts() {
	if r.plan.mounts == nil {
		return
	}
	r.primary.disk.rows[vaultname.Mounts] = encode(lasting)
	for _, s := range r.secondaries {
		s.disk.rows[vaultname.LocalMounts] = encode([]vaultname.Mount{{Path: "ls/", UUID: "ls", Type: "kv", Local: true}})
	}
	for _, key := range localKeys {
		r.primary.disk.rows[key] = []byte("primary's first")
	}
}
