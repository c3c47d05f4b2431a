// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"

	"github.com/hashicorp/go-uuid"

	"github.com/vault-replication/vault-replication/host/api/activation"
	"github.com/vault-replication/vault-replication/host/handover"
	"github.com/vault-replication/vault-replication/host/proof"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// EnablePrimary makes a cluster without a role the primary of a new set. It
// serves all the while: the journal and the port of the mode are added to a
// running core.
func (c *Controller) EnablePrimary(ctx context.Context, mode replication.Mode, req replication.EnablePrimaryRequest) ([]string, error) {
	if err := c.beginChange(); err != nil {
		return nil, err
	}
	defer c.changing.Unlock()
	r := c.Record()
	if err := mayBecomePrimary(r, mode); err != nil {
		return nil, err
	}
	b, err := c.backend(ctx, mode)
	if err != nil {
		return nil, err
	}
	t, err := b.EnablePrimary(ctx, req)
	if err != nil {
		return nil, err
	}
	if t.Role != replication.Primary {
		return nil, unexpected(t.Role, replication.Primary)
	}
	epoch, err := newEpoch(replication.Epoch{})
	if err != nil {
		return nil, err
	}
	indexKey, err := handover.NewKey()
	if err != nil {
		return nil, err
	}
	*r.mode(mode) = ModeRecord{Role: replication.Primary, SetID: t.ClusterID, Epoch: epoch, IndexKey: indexKey}
	if err := c.changeLive(ctx, mode, r, t); err != nil {
		return nil, err
	}
	return t.Warnings, nil
}

func mayBecomePrimary(r *Record, mode replication.Mode) error {
	switch r.mode(mode).Role {
	case replication.Primary:
		return replication.Errorf(replication.InvalidInput, "this cluster already is a %s primary: nothing was changed", mode)
	case replication.Secondary:
		return replication.Errorf(replication.InvalidInput, "this cluster is a %s secondary: promote it to make it a primary", mode)
	case replication.Disabled, replication.Bootstrapping:
	}
	if r.DR.Role == replication.Secondary {
		return replication.Errorf(replication.InvalidInput, "this cluster is a DR secondary and cannot have another role: promote it first")
	}
	return nil
}

// DisablePrimary makes a primary a cluster without a role. Its secondaries lose
// their connection.
func (c *Controller) DisablePrimary(ctx context.Context, mode replication.Mode) ([]string, error) {
	if err := c.beginChange(); err != nil {
		return nil, err
	}
	defer c.changing.Unlock()
	r := c.Record()
	if err := mustBe(r, mode, replication.Primary); err != nil {
		return nil, err
	}
	b, err := c.backend(ctx, mode)
	if err != nil {
		return nil, err
	}
	t, err := b.DisablePrimary(ctx)
	if err != nil {
		return nil, err
	}
	if t.Role != replication.Disabled {
		return nil, unexpected(t.Role, replication.Disabled)
	}
	*r.mode(mode) = ModeRecord{Role: replication.Disabled}
	if err := c.changeLive(ctx, mode, r, t); err != nil {
		return nil, err
	}
	return t.Warnings, nil
}

// changeLive carries out a change between no role and primary, which needs no
// restart of the core.
func (c *Controller) changeLive(ctx context.Context, mode replication.Mode, r *Record, t *replication.Transition) error {
	rows, err := c.stateRows(ctx, mode, t)
	if err != nil {
		return err
	}
	if err := withRole(rows, r); err != nil {
		return err
	}
	encrypted, err := c.encrypted(ctx, rows)
	if err != nil {
		return err
	}
	ending := r.mode(mode).Role == replication.Disabled
	if ending {
		c.stopPlugin(mode)
		plain, err := c.deletions(ctx, plainPrefix(mode))
		if err != nil {
			return err
		}
		encrypted = append(encrypted, plain...)
	}
	if err := c.write(ctx, encrypted); err != nil {
		return err
	}
	// From here on the change is made, whether or not the client waits for it.
	ctx = context.WithoutCancel(ctx)
	c.relations.forgetAll()
	c.setFailure(mode, "")
	if err := c.enforce(ctx, r, false); err != nil {
		return err
	}
	// The journal must be on before a slot can be opened: the plugin gets its
	// role after it.
	if err := c.beginTerm(ctx); err != nil {
		return err
	}
	if mode == replication.Performance && r.Performance.Role == replication.Secondary {
		c.renamed()
	}
	duty, err := c.active()
	if err != nil {
		return err
	}
	if ending {
		go c.removeJournal(duty)
	}
	b, err := c.backend(ctx, mode)
	if err != nil {
		return err
	}
	return c.giveRole(duty, mode, b)
}

// removeJournal deletes the rows that a primary leaves in storage which is none in any
// mode any more.
func (c *Controller) removeJournal(duty context.Context) {
	if r := c.Record(); r.DR.Role == replication.Primary || r.Performance.Role == replication.Primary {
		return
	}
	keys, err := physicalBelow(duty, c.store, "wal/logs/")
	for _, key := range keys {
		if err == nil {
			err = c.store.Delete(duty, key)
		}
	}
	if err != nil {
		c.logger.Warn("rows of the former journal stay in storage; they are never read", "error", err)
	}
}

// unexpected refuses a transition to a role that was not asked for.
func unexpected(have, want replication.Role) error {
	return replication.Errorf(replication.Internal, "the plugin asked for the role %q in place of %q: nothing was changed", have, want)
}

// SecondaryToken registers a secondary and returns what its activation token
// wraps.
func (c *Controller) SecondaryToken(ctx context.Context, mode replication.Mode, req replication.SecondaryTokenRequest) (*activation.Payload, []string, error) {
	if err := c.beginChange(); err != nil {
		return nil, nil, err
	}
	defer c.changing.Unlock()
	if err := mustBe(c.Record(), mode, replication.Primary); err != nil {
		return nil, nil, err
	}
	b, err := c.backend(ctx, mode)
	if err != nil {
		return nil, nil, err
	}
	resp, err := b.SecondaryToken(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	pairing, err := handover.NewKey()
	if err != nil {
		return nil, nil, err
	}
	if resp.ClusterID != c.Record().mode(mode).SetID {
		return nil, nil, replication.Errorf(replication.Internal, "the plugin made a bundle of another replication set")
	}
	if err := c.paired.Add(ctx, mode, req.ID, resp.Certificate, pairing); err != nil {
		return nil, nil, err
	}
	c.relations.forget(mode, req.ID)
	return &activation.Payload{Mode: mode, ID: req.ID, ClusterID: resp.ClusterID, Bundle: resp.Bundle, PairingKey: pairing}, nil, nil
}

func mustBe(r *Record, mode replication.Mode, want replication.Role) error {
	if have := r.mode(mode).Role; have != want {
		return replication.Errorf(replication.InvalidInput, "this cluster is not a %s %s (its role is %q): nothing was changed", mode, want, have)
	}
	return nil
}

// backend is the plugin of a mode, started if need be, on the active node.
func (c *Controller) backend(ctx context.Context, mode replication.Mode) (replication.Backend, error) {
	if _, err := c.active(); err != nil {
		return nil, err
	}
	return c.plugins.Backend(ctx, mode)
}

// newEpoch is the epoch that follows another.
func newEpoch(after replication.Epoch) (replication.Epoch, error) {
	if after.Generation >= proof.GenerationMax {
		return replication.Epoch{}, replication.Errorf(replication.Internal, "no epoch can follow %s: no cluster is promoted as often", after)
	}
	id, err := uuid.GenerateUUID()
	if err != nil {
		return replication.Epoch{}, err
	}
	return replication.Epoch{Generation: after.Generation + 1, ID: id}, nil
}
