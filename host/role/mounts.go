// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// loadMounts learns all mounts from the stored tables, and of what their backends have
// declared on a primary, before the core reads or writes anything below their views.
// Nothing is counted yet.
func (c *Controller) loadMounts(ctx context.Context) error {
	raw, err := c.core.GetEntry(ctx, keyclass.DeclaredKey)
	if err != nil {
		return err
	}
	declared, err := keyclass.DecodeDeclared(raw)
	if err != nil {
		return err
	}
	c.mounts.Unload()
	c.mounts.SetRecorded(declared)
	for key := range keyclass.Tables {
		table, err := c.core.StoredTable(ctx, key)
		if err != nil {
			return err
		}
		if _, err := c.learnTable(key, table); err != nil {
			return err
		}
	}
	return nil
}

// TableWritten takes up a table of mounts that this core is about to store. What
// was written below a view that was not known until now is told to the secondaries
// again: it was held back from those of performance replication. Value is nil when
// there is no table any more.
func (c observer) TableWritten(ctx context.Context, key string, value []byte) error {
	changed, err := c.learnStored(ctx, key, value)
	if err != nil {
		return err
	}
	return c.reclassify(ctx, changed)
}

func (c *Controller) learnStored(ctx context.Context, key string, value []byte) (changed []string, err error) {
	if value == nil {
		return c.learnTable(key, nil)
	}
	table, err := c.core.OpenTable(ctx, key, value)
	if err != nil {
		return nil, err
	}
	return c.learnTable(key, table)
}

// learnDeclared takes up the record of what backends have declared.
func (c *Controller) learnDeclared(ctx context.Context, value []byte) (changed []string, err error) {
	var raw []byte
	if value != nil {
		if raw, err = c.core.Decrypt(ctx, keyclass.DeclaredKey, value); err != nil {
			return nil, err
		}
	}
	declared, err := keyclass.DecodeDeclared(raw)
	if err != nil {
		return nil, err
	}
	return c.mounts.SetRecorded(declared), nil
}

// learnArriving takes up the tables of mounts, and what backends have declared, in a
// batch that is applied: the classes must be right when it is. The rest follows when it
// was.
func (c *Controller) learnArriving(ctx context.Context, b *txn.Batch) {
	if e, comes := b.Get(keyclass.DeclaredKey); comes {
		var value []byte
		if e != nil {
			value = e.Value
		}
		changed, err := c.learnDeclared(ctx, value)
		if err != nil {
			c.logger.Error("what backends of the primary have declared cannot be read here; the keys of their mounts are classified as before", "error", err)
		}
		c.toSettle(changed)
	}
	for key := range keyclass.Tables {
		e, comes := b.Get(key)
		if !comes {
			continue
		}
		var value []byte
		if e != nil {
			value = e.Value
		}
		changed, err := c.learnStored(ctx, key, value)
		if err != nil {
			// The table is the primary's to decide, and this one is stored all the same;
			// what it adds stays unknown here until the next one can be read.
			c.logger.Error("a table of mounts of the primary cannot be read here", "table", key, "error", err)
		}
		c.toSettle(changed)
	}
}

// anyTable is owed for what settleLearned could not do.
const anyTable = vaultname.Mounts

func (c *Controller) toSettle(changed []string) {
	c.learned.Lock()
	defer c.learned.Unlock()
	c.learnedViews = append(c.learnedViews, changed...)
}

// settleLearned finishes what learnArriving has begun, once the batch is applied.
func (c *Controller) settleLearned(ctx context.Context) error {
	c.learned.Lock()
	changed := c.learnedViews
	c.learnedViews = nil
	c.learned.Unlock()
	if len(changed) == 0 {
		return nil
	}
	err := c.reclassify(ctx, changed)
	if err != nil {
		c.learned.Lock()
		c.learnedViews = append(c.learnedViews, changed...)
		c.learned.Unlock()
	}
	return err
}

// learnTable takes up what a table says and returns the views whose classes that
// changes.
func (c *Controller) learnTable(key string, table *vault.MountTable) (changed []string, err error) {
	var mounts []keyclass.Mount
	if table != nil {
		for _, e := range table.Entries {
			mounts = append(mounts, keyclass.Mount{
				UUID: e.UUID, Path: vaultname.RequestPath(key, e.Path), Type: typeOf(e), Local: e.Local, External: e.Type == "plugin" || e.IsExternalPlugin(),
			})
		}
	}
	c.taints.learn(key, table)
	return c.mounts.SetTable(key, mounts)
}

// typeOf is the type of an entry; before there were types for them, engines that
// are no part of Vault were of the type "plugin".
func typeOf(e *vault.MountEntry) string {
	if e.Type == "plugin" {
		return e.Config.PluginName
	}
	return e.Type
}

func (c *Controller) reclassify(ctx context.Context, changed []string) error {
	if err := c.tap.Reclassify(ctx, changed...); err != nil {
		return fmt.Errorf("keys of mounts cannot be told to the secondaries: %w", err)
	}
	return nil
}

// LearnBackend takes up which storage of a mount its backend declares as local. Of an
// engine that is no part of Vault the primary's word counts on every cluster of the set:
// one that a secondary loads may be of another version.
func (c *Controller) LearnBackend(ctx context.Context, m vaultname.Mount, b logical.Backend) error {
	view, ok := c.mounts.View(m.StoragePrefix)
	if !ok || view.Local {
		return nil
	}
	recorded := view.ByRecord()
	if r := c.Record(); recorded && (r.DR.Role == replication.Secondary || r.Performance.Role == replication.Secondary) {
		return nil
	}
	var prefixes []string
	if paths := b.SpecialPaths(); paths != nil {
		prefixes = paths.LocalStorage
	}
	return learnPrefixes(c.mounts, view.UUID, prefixes,
		func(changed []string) error { return c.reclassify(ctx, changed) },
		func() error {
			if !recorded {
				return nil
			}
			return c.keepPrefixes(ctx, view.UUID, prefixes)
		})
}

// learnPrefixes takes up what a backend declares, tells the secondaries of the views
// whose classes that changes, and keeps it for the next unseal. It is kept last, and
// unlearned when either fails: what is known already is told to nobody any more.
func learnPrefixes(mounts *keyclass.Mounts, uuid string, prefixes []string, tell func(changed []string) error, keep func() error) error {
	before, known := mounts.LocalPrefixes(uuid)
	if known && slices.Equal(before, prefixes) {
		return nil
	}
	// On a secondary it may change nothing now, and does when that is a primary.
	err := tell(mounts.SetLocalPrefixes(uuid, prefixes))
	if err == nil {
		err = keep()
	}
	switch {
	case err == nil:
	case known:
		mounts.SetLocalPrefixes(uuid, before)
	default:
		mounts.ForgetLocalPrefixes(uuid)
	}
	return err
}

func (c *Controller) keepPrefixes(ctx context.Context, uuid string, prefixes []string) error {
	raw, err := c.core.GetEntry(ctx, keyclass.DeclaredKey)
	if err != nil {
		return err
	}
	declared, err := keyclass.DecodeDeclared(raw)
	if err != nil {
		return err
	}
	if have, ok := declared[uuid]; ok && slices.Equal(have, prefixes) {
		return nil
	}
	// Those of mounts that are gone go with them.
	for known := range declared {
		if _, ok := c.mounts.View(vaultname.EngineViews + known + "/"); !ok {
			if _, ok := c.mounts.View(vaultname.AuthViews + known + "/"); !ok {
				delete(declared, known)
			}
		}
	}
	declared[uuid] = prefixes
	if raw, err = declared.Encode(); err != nil {
		return err
	}
	if err := c.core.PutEntry(ctx, keyclass.DeclaredKey, raw); err != nil {
		return err
	}
	c.mounts.SetRecorded(declared)
	return nil
}
