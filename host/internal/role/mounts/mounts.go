// SPDX-License-Identifier: MPL-2.0

// Package mounts knows the mounts of a cluster and what their backends declare local. This decides the classes of the
// mounts' keys. It learns from the stored tables, from tables that this core writes, from tables that arrive from a
// primary, and from the backends themselves. It also knows which mounts are about to be removed.
package mounts

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// SharedTables are the mount tables that a performance set shares.
var SharedTables = []string{vaultname.Mounts, vaultname.Auth}

// Learner keeps what is known of the mounts up to date.
type Learner struct {
	core   *vaultcore.Core
	tap    *storage.Tap
	logger hclog.Logger
	// follows says whether the cluster is a secondary: then the primary's record counts.
	follows func() bool

	known  *keyclass.Mounts
	taints taints

	mu sync.Mutex
	// unsettled are the views whose classes a table has changed.
	unsettled []string
}

// New makes a Learner, by which the tap classifies keys.
func New(core *vaultcore.Core, tap *storage.Tap, follows func() bool, logger hclog.Logger) *Learner {
	l := &Learner{core: core, tap: tap, follows: follows, logger: logger, known: keyclass.NewMounts()}
	tap.Classes().SetMounts(l.known)
	return l
}

// Known are the mounts, for readers.
func (l *Learner) Known() *keyclass.Mounts { return l.known }

// TakeTainted says, once, whether the last write of a table tainted a mount.
func (l *Learner) TakeTainted(table string) bool { return l.taints.take(table) }

// Load learns all mounts from the stored tables, and the record of what backends have declared, before the core reads
// or writes anything in the views. No index counts yet.
func (l *Learner) Load(ctx context.Context) error {
	declared, err := l.declared(ctx)
	if err != nil {
		return err
	}
	l.known.Unload()
	l.known.SetRecorded(declared)
	for key := range keyclass.Tables {
		table, err := l.core.StoredTable(ctx, key)
		if err != nil {
			return err
		}
		if _, err := l.learn(key, table); err != nil {
			return err
		}
	}
	return nil
}

// declared is the stored record of what backends have declared.
func (l *Learner) declared(ctx context.Context) (keyclass.Declared, error) {
	raw, err := l.core.GetEntry(ctx, keyclass.DeclaredKey)
	if err != nil {
		return nil, err
	}
	return keyclass.DecodeDeclared(raw)
}

// TableWritten takes up a mount table, or the record of what backends have declared, that this core is about to store;
// value is nil if the row is deleted. A mount that was unknown until now may have been written to. Performance
// secondaries did not get those keys, so they are journalled again. After an error the tap tries that again.
func (l *Learner) TableWritten(ctx context.Context, key string, value []byte) error {
	changed, err := l.learnStored(ctx, key, value)
	if err != nil {
		return err
	}
	return l.reclassify(ctx, changed)
}

func (l *Learner) learnStored(ctx context.Context, key string, value []byte) (changed []string, err error) {
	switch {
	case key == keyclass.DeclaredKey:
		return l.learnDeclared(ctx, value)
	case value == nil:
		return l.learn(key, nil)
	}
	table, err := l.core.OpenTable(ctx, key, value)
	if err != nil {
		return nil, err
	}
	return l.learn(key, table)
}

// learnDeclared takes up the record of what backends have declared.
func (l *Learner) learnDeclared(ctx context.Context, value []byte) (changed []string, err error) {
	var raw []byte
	if value != nil {
		if raw, err = l.core.Decrypt(ctx, keyclass.DeclaredKey, value); err != nil {
			return nil, err
		}
	}
	declared, err := keyclass.DecodeDeclared(raw)
	if err != nil {
		return nil, err
	}
	return l.known.SetRecorded(declared), nil
}

// Arriving takes up the mount tables, and the record of what backends have declared, in a batch before it is applied,
// because the classes must be right by then. Settle does the rest after the batch was applied.
func (l *Learner) Arriving(ctx context.Context, b *txn.Batch) {
	if e, comes := b.Get(keyclass.DeclaredKey); comes {
		changed, err := l.learnDeclared(ctx, valueOf(e))
		if err != nil {
			l.logger.Error("what backends of the primary have declared cannot be read here; the keys of their mounts are "+
				"classified as before", "error", err)
		}
		l.owe(changed)
	}
	for key := range keyclass.Tables {
		e, comes := b.Get(key)
		if !comes {
			continue
		}
		changed, err := l.learnStored(ctx, key, valueOf(e))
		if err != nil {
			// The primary decides the table, so it is stored all the same. The mounts that it adds stay unknown here until a
			// later table can be read.
			l.logger.Error("a table of mounts of the primary cannot be read here", "table", key, "error", err)
		}
		l.owe(changed)
	}
}

// valueOf is nil for a deletion.
func valueOf(e *physical.Entry) []byte {
	if e == nil {
		return nil
	}
	return e.Value
}

func (l *Learner) owe(changed []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsettled = append(l.unsettled, changed...)
}

// Settle finishes what Arriving has begun, after the batch is applied. After an error the next call does what is left.
func (l *Learner) Settle(ctx context.Context) error {
	l.mu.Lock()
	changed := l.unsettled
	l.unsettled = nil
	l.mu.Unlock()
	return l.reclassify(ctx, changed)
}

// learn takes up a table and returns the views whose classes change.
func (l *Learner) learn(key string, table *vault.MountTable) (changed []string, err error) {
	var mounts []vaultname.Mount
	if table != nil {
		for _, e := range table.Entries {
			mounts = append(mounts, vaultname.Mount{
				UUID: e.UUID, Path: vaultname.RequestPath(key, e.Path), Type: typeOf(e), Local: e.Local,
				External: e.Type == "plugin" || e.IsExternalPlugin(),
			})
		}
	}
	l.taints.learn(key, table)
	return l.known.SetTable(key, mounts)
}

// typeOf is the type of an entry. In old tables engines that are not part of Vault have the type "plugin".
func typeOf(e *vault.MountEntry) string {
	if e.Type == "plugin" {
		return e.Config.PluginName
	}
	return e.Type
}

func (l *Learner) reclassify(ctx context.Context, changed []string) error {
	if err := l.tap.Reclassify(ctx, changed...); err != nil {
		return fmt.Errorf("keys of mounts cannot be told to the secondaries: %w", err)
	}
	return nil
}

// LearnBackend takes up what a backend declares local. For an engine that is not part of Vault only the primary's
// record counts, on every cluster of the set, because a secondary may load another version.
func (l *Learner) LearnBackend(ctx context.Context, m vaultname.Mount, b logical.Backend) error {
	view, ok := l.known.View(m.StoragePrefix)
	if !ok || view.Local {
		return nil
	}
	var prefixes []string
	if paths := b.SpecialPaths(); paths != nil {
		prefixes = paths.LocalStorage
	}
	switch {
	case !view.ByRecord():
		return l.reclassify(ctx, l.known.SetLocalPrefixes(view.UUID, prefixes))
	case l.follows():
		return nil
	}
	return l.keepPrefixes(ctx, view.UUID, prefixes)
}

// keepPrefixes stores what a backend declares in the record. The tap has the record taken up before it is written, and
// has what is stored taken up if that fails.
func (l *Learner) keepPrefixes(ctx context.Context, uuid string, prefixes []string) error {
	if have, known := l.known.Recorded(uuid); known && slices.Equal(have, prefixes) {
		return nil
	}
	declared, err := l.declared(ctx)
	if err != nil {
		return err
	}
	// Declarations of removed mounts are removed too.
	maps.DeleteFunc(declared, func(known string, _ []string) bool {
		_, engine := l.known.View(vaultname.EngineViews + known + "/")
		_, auth := l.known.View(vaultname.AuthViews + known + "/")
		return !engine && !auth
	})
	declared[uuid] = prefixes
	raw, err := declared.Encode()
	if err != nil {
		return err
	}
	return l.core.PutEntry(ctx, keyclass.DeclaredKey, raw)
}
