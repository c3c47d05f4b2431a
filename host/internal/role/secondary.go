// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	goversion "github.com/hashicorp/go-version"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/version"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/host/internal/history"
	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/role/former"
	"github.com/vault-replication/vault-replication/host/internal/role/kept"
	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/host/storage/unstorable"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Secondary is what can be asked of this cluster as a secondary, or to become one.
type Secondary struct {
	changes  *changes
	core     *vaultcore.Core
	tap      *storage.Tap
	store    physical.Backend
	roles    *roles
	sessions *sessions
	rows     *rows
	own      *ownWrites
	losses   losses
	logger   hclog.Logger
}

var _ endpoints.Secondary = (*Secondary)(nil)

// EnableSecondary joins the cluster of an activation token. When it returns without an error, everything was fetched
// and checked. The change itself, one step in storage and a restart of the core in place, follows when the request has
// ended.
func (c *Secondary) EnableSecondary(ctx context.Context, mode replication.Mode, a *activation.Payload, keep bool) (
	[]string, error) {
	if err := c.changes.beginChange(); err != nil {
		return nil, err
	}
	release := c.changes.changing.Unlock
	defer func() { release() }()
	for _, m := range modes {
		if err := mustBe(c.roles.Record(), m, replication.Disabled); err != nil {
			return nil, err
		}
	}
	if a.Mode != mode {
		return nil, replication.Errorf(replication.InvalidInput, "the activation token is for a %s secondary, not for a %s "+
			"secondary: nothing was changed", a.Mode, mode)
	}
	t, material, err := c.sessions.askHandover(ctx, mode, replication.EnableSecondaryRequest{Bundle: a.Bundle, ID: a.ID},
		a.PairingKey,
		handover.Binding{Mode: mode, SetID: a.ClusterID, SecondaryID: a.ID})
	if err != nil {
		return nil, err
	}
	if newer, err := isNewer(material.VaultVersion); err != nil || newer {
		material.Wipe()
		return nil, replication.Errorf(replication.InvalidInput, "the primary runs Vault %s and this cluster %s: upgrade "+
			"the secondary first", material.VaultVersion, version.GetVersion().VersionNumber())
	}
	own, err := c.own.beside(ctx, mode, material.SetID, material.History, keep)
	if err != nil {
		material.Wipe()
		return nil, err
	}
	r := disabledRecord()
	*r.mode(mode) = ModeRecord{
		Role: replication.Secondary, SetID: material.SetID, Epoch: material.Epoch,
		IndexKey: material.IndexKey, SecondaryID: a.ID, Pairing: a.PairingKey,
	}
	prepare := func(ctx context.Context) (*handover.Adoption, error) {
		return c.prepareAdoption(ctx, mode, r, t, material)
	}
	// Prepare once now, so that the client learns of what cannot work.
	first, err := prepare(ctx)
	if err != nil {
		material.Wipe()
		return nil, replication.Errorf(replication.InvalidInput, "this cluster cannot take over the primary's keys: %w", err)
	}
	first.Wipe()

	warnings := slices.Concat(t.Warnings, c.narrower(mode, material))
	unlock := release
	release = func() {}
	c.changes.afterRequest(ctx, mode, "becoming a secondary", unlock, func(ctx context.Context) error {
		defer material.Wipe()
		if own != nil {
			// No client can write from here on.
			if _, err := c.own.keep(own); err != nil {
				return err
			}
		}
		return c.adopt(ctx, mode, prepare)
	})
	return warnings, nil
}

// isNewer says whether a version of Vault is newer than the one that is linked in.
func isNewer(primary string) (bool, error) {
	theirs, err := goversion.NewVersion(primary)
	if err != nil {
		return false, err
	}
	ours, err := goversion.NewVersion(version.GetVersion().VersionNumber())
	if err != nil {
		return false, err
	}
	return theirs.GreaterThan(ours), nil
}

// prepareAdoption makes all rows of the step.
func (c *Secondary) prepareAdoption(ctx context.Context, mode replication.Mode, r *Record, t *replication.Transition,
	m *handover.Material) (*handover.Adoption, error) {
	inClear, err := c.rows.stateRows(ctx, mode, t)
	if err != nil {
		return nil, err
	}
	// The records of replication of the old cluster end with its keyring.
	old, err := records.Below(ctx, c.core, records.Prefix)
	if err != nil {
		return nil, err
	}
	for _, name := range old {
		key := records.Prefix + name
		if _, ok := inClear[key]; ok {
			continue
		}
		inClear[key] = nil
		if strings.HasPrefix(key, PluginPrefix) || strings.HasPrefix(key, kept.Prefix) {
			if inClear[key], err = c.core.GetEntry(ctx, key); err != nil {
				return nil, err
			}
		}
	}
	if err := withRole(inClear, r); err != nil {
		return nil, err
	}
	if !mode.ReplicatesLocal() {
		if err := handover.SeedLocal(inClear); err != nil {
			return nil, err
		}
	}
	if mode.Filtered() {
		// A filter that this cluster had as a primary could not be read any more.
		if own := filters.Key(r.mode(mode).SecondaryID); m.Rows[own] == nil {
			inClear[own] = nil
		}
	}
	if inClear[history.Key(mode)], err = m.History.Encode(); err != nil {
		return nil, err
	}
	a, err := handover.Prepare(ctx, c.core, c.store, m, inClear, c.logger)
	if err != nil {
		return nil, err
	}
	for _, m := range modes {
		plain, err := c.rows.deletions(ctx, plainPrefix(m), former.Prefix(m))
		if err != nil {
			return nil, err
		}
		a.Rows = append(a.Rows, plain...)
	}
	if !mode.ReplicatesLocal() {
		a.Rows = append(a.Rows, onestep.Row{Key: wipeKey, Value: []byte{1}})
	}
	return a, nil
}

// adopt makes the step. Afterwards the cluster is a secondary, and its copy begins.
func (c *Secondary) adopt(ctx context.Context, mode replication.Mode, prepare func(context.Context) (*handover.Adoption,
	error)) error {
	a, err := prepare(ctx)
	if err != nil {
		return err
	}
	defer a.Wipe()
	c.logger.Info("becoming a secondary: the data of this cluster is replaced by the primary's", "mode", mode)
	return c.core.Restart(ctx, func(ctx context.Context) ([]byte, error) {
		if err := c.rows.write(ctx, a.Rows); err != nil {
			return nil, err
		}
		if err := a.Take(ctx, c.core); err != nil {
			return nil, err
		}
		return a.RootKey, nil
	})
}

// PromoteSecondary makes a secondary the primary of its set.
func (c *Secondary) PromoteSecondary(ctx context.Context, mode replication.Mode, req endpoints.PromoteRequest) (
	[]string, error) {
	if err := c.checkCopied(ctx, mode, "promoted"); err != nil {
		return nil, err
	}
	losses, err := c.losses.all(ctx, mode)
	if err != nil {
		return nil, err
	}
	if !req.Force {
		if err := refuseLosses(losses); err != nil {
			return nil, err
		}
	}
	hidden, err := c.losses.hiddenLosses(ctx, mode)
	if err != nil {
		return nil, err
	}
	return c.changes.changeByRestart(ctx, &change{
		mode: mode, from: replication.Secondary, to: replication.Primary, what: "promotion", force: req.Force,
		lacking: len(hidden) > 0,
		consume: req.Consume,
		ask: func(b replication.Backend, ctx context.Context) (*replication.Transition, error) {
			t, err := b.PromoteSecondary(ctx, req.PromoteSecondaryRequest)
			if err == nil {
				t.Warnings = append(t.Warnings, warnOfLosses(losses)...)
			}
			return t, err
		},
	})
}

// checkCopied refuses to promote or disable a secondary whose first copy has never ended, even with force. Its
// storage lacks some rows of the primary. It still has rows of the former cluster, whose keyring is gone. So it could
// not be unsealed.
func (c *Secondary) checkCopied(ctx context.Context, mode replication.Mode, what string) error {
	if err := mustBe(c.roles.Record(), mode, replication.Secondary); err != nil {
		return err
	}
	cur, err := c.tap.Secondary(mode).Cursor(ctx)
	if err != nil {
		return err
	}
	if cur.Position.Epoch.IsZero() {
		return replication.Errorf(replication.Unavailable, "the first copy of the primary has not ended, so there is no "+
			"cluster here that could be %s: wait for state stream-wals; if the primary is gone for good, restore a snapshot "+
			"of it instead", what)
	}
	return nil
}

// DisableSecondary makes a secondary a cluster without a role that keeps its
// data.
func (c *Secondary) DisableSecondary(ctx context.Context, mode replication.Mode, consume endpoints.Consume) ([]string,
	error) {
	if err := c.checkCopied(ctx, mode, "disabled"); err != nil {
		return nil, err
	}
	return c.changes.changeByRestart(ctx, &change{
		mode: mode, from: replication.Secondary, to: replication.Disabled, what: "disabling", consume: consume,
		ask: replication.Backend.DisableSecondary,
	})
}

// UpdatePrimary gives a secondary another primary of its set, or none. The core goes on; only the sessions change.
func (c *Secondary) UpdatePrimary(ctx context.Context, mode replication.Mode, req endpoints.UpdatePrimaryRequest) (
	[]string, error) {
	if err := c.changes.beginChange(); err != nil {
		return nil, err
	}
	defer c.changes.changing.Unlock()
	r := c.roles.Record()
	if err := mustBe(r, mode, replication.Secondary); err != nil {
		return nil, err
	}
	b, err := c.sessions.backend(ctx, mode)
	if err != nil {
		return nil, err
	}
	update := replication.UpdatePrimaryRequest{Addrs: req.Addrs}
	mr := r.mode(mode)
	if a := req.Payload; a != nil {
		if a.Mode != mode || a.ClusterID != mr.SetID {
			return nil, replication.Errorf(replication.InvalidInput, "the activation token is for %s replication set %q, and "+
				"this cluster belongs to %s replication set %q: disable it and enable it anew to join another set", a.Mode,
				a.ClusterID, mode, mr.SetID)
		}
		update.Bundle, update.ID, update.Challenge = a.Bundle, a.ID, handover.NewKey()
	}
	asking, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	t, err := b.UpdatePrimary(asking, update)
	if err != nil {
		return nil, err
	}
	beside, settled := map[string][]byte{}, []onestep.Row(nil)
	if req.Payload != nil {
		of, err := c.historyOf(mode, mr, req.Payload, t, update.Challenge)
		if err != nil {
			return nil, err
		}
		own, err := c.own.beside(ctx, mode, mr.SetID, of, req.Keep)
		if err != nil {
			return nil, err
		}
		if own != nil {
			f, err := c.own.keep(own)
			if err != nil {
				return nil, err
			}
			t.Warnings = append(t.Warnings, keptText(f))
		}
		if settled, err = c.own.followed(mode, of, beside); err != nil {
			return nil, err
		}
		// Only now, because this cluster asks the one with the pairing key for keys.
		mr.SecondaryID, mr.Pairing = req.Payload.ID, req.Payload.PairingKey
	}
	// An operator has decided which cluster goes on as this secondary.
	mr.Contested = false
	if err := c.changes.putLive(ctx, mode, r, t, beside, settled...); err != nil {
		return nil, err
	}
	c.forgetActivationKey(ctx, mode, req.Payload)
	if c.roles.bootstrapping.Load() {
		// There are no audit devices yet.
		c.logger.Info("the primary of this secondary was changed with a DR operation token while it waits for its first copy",
			"secondary_id", mr.SecondaryID)
	}
	return t.Warnings, nil
}

// historyOf is the history of the primary that an activation token is of. It is an error
// unless that primary is of the set of this secondary.
func (c *Secondary) historyOf(mode replication.Mode, mr *ModeRecord, a *activation.Payload, t *replication.Transition,
	challenge []byte) (history.History, error) {
	m, err := openHandover(t, a.PairingKey, handover.Binding{Mode: mode, SetID: mr.SetID, SecondaryID: a.ID,
		Challenge: challenge})
	if err != nil {
		return nil, err
	}
	defer m.Wipe()
	if err := provesSet(mr, m); err != nil {
		c.logger.Error("update-primary was refused: a cluster that is not of this set answers as its primary",
			"secondary_id", a.ID)
		return nil, err
	}
	return m.History, nil
}

// narrower says what will be missing on this cluster because its storage has narrower limits than its primary's.
func (c *Secondary) narrower(mode replication.Mode, m *handover.Material) []string {
	if m.Storage == nil {
		return nil
	}
	said := unstorable.Narrower(*m.Storage, c.core.StorageLimits())
	for _, text := range said {
		c.logger.Warn("the storage of this cluster takes less than that of its primary", "mode", mode, "what", text)
	}
	return said
}
