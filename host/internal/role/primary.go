// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"

	"github.com/hashicorp/go-uuid"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/proof"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// EnablePrimary makes a cluster without a role the primary of a new set. It
// serves all the while: the journal and the port of the mode are added to a
// running core.
func (c *changes) EnablePrimary(ctx context.Context, mode replication.Mode, req replication.EnablePrimaryRequest) (
	[]string, error) {
	return c.changeLive(ctx, &change{
		mode: mode, from: replication.Disabled, to: replication.Primary,
		ask: func(ctx context.Context, b replication.Backend) (*replication.Transition, error) {
			return b.EnablePrimary(ctx, req)
		},
	})
}

// DisablePrimary makes a primary a cluster without a role. Its secondaries lose
// their connection.
func (c *changes) DisablePrimary(ctx context.Context, mode replication.Mode) ([]string, error) {
	return c.changeLive(ctx, &change{
		mode: mode, from: replication.Primary, to: replication.Disabled,
		ask: func(ctx context.Context, b replication.Backend) (*replication.Transition, error) {
			return b.DisablePrimary(ctx)
		},
	})
}

// putLive stores a record in one step with what the plugin asks for, and puts it in force
// in the running core.
func (c *changes) putLive(ctx context.Context, mode replication.Mode, r *Record, t *replication.Transition) error {
	rows, err := c.stateRows(ctx, mode, t)
	if err != nil {
		return err
	}
	encrypted, err := c.recordRows(ctx, rows, r)
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
	if mr := r.mode(mode); mode.Filtered() && mr.Role == replication.Secondary {
		// It has the filter of another id now. The request holds the core's state, so that
		// what this leaves is shown to the core by the next apply.
		c.tap.Secondary(mode).Owe(filters.Key(mr.SecondaryID))
	}
	duty, err := c.active()
	if err != nil {
		return err
	}
	if ending {
		go c.deleteFormerRows(duty)
	}
	b, err := c.backend(ctx, mode)
	if err != nil {
		return err
	}
	return c.giveRole(duty, mode, b)
}

// deleteFormerRows deletes the rows that a primary leaves in storage which is none in any mode any more. If the
// leadership ends first, the next one goes on with it.
func (c *changes) deleteFormerRows(duty context.Context) {
	if err := c.tap.DeleteFormerRows(duty); err != nil && duty.Err() == nil {
		c.logger.Warn("rows of the former journal stay in storage until the next leadership; they are never read", "error",
			err)
	}
}

// SecondaryToken registers a secondary and returns what its activation token
// wraps.
func (c *Controller) SecondaryToken(ctx context.Context, mode replication.Mode, req replication.SecondaryTokenRequest) (
	*activation.Payload, []string, error) {
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
	return &activation.Payload{Mode: mode, ID: req.ID, ClusterID: resp.ClusterID, Bundle: resp.Bundle,
		PairingKey: pairing}, nil, nil
}

// mustBe refuses a change on a cluster that does not have the role which it begins with. One
// that stands in for its primary has no other role, so it cannot be given one.
func mustBe(r *Record, mode replication.Mode, want replication.Role) error {
	if m := r.standsFor(); m != "" && want == replication.Disabled {
		mode = m
	}
	return endpoints.RequireRole(mode, r.mode(mode).Role, want)
}

// reign is how many generations a promotion leaves to the primary before it. That one begins
// an epoch by itself when its storage goes back in time, and may die before any secondary that
// can be promoted knows of it. So no generation of its reign is one of the next reign.
const reign = 1024

// newHistory is the epoch that follows another while the primary stays the same.
func newHistory(after replication.Epoch) (replication.Epoch, error) {
	return newEpoch(after, after.Generation+1)
}

// newReign is the epoch that a promotion begins after another. Two clusters that are promoted
// from one reign get the same generation, and so are noticed.
func newReign(after replication.Epoch) (replication.Epoch, error) {
	return newEpoch(after, (after.Generation/reign+1)*reign)
}

func newEpoch(after replication.Epoch, generation uint64) (replication.Epoch, error) {
	if after.Generation >= proof.GenerationMax {
		return replication.Epoch{}, replication.Errorf(replication.Internal, "no epoch can follow %s: no cluster is "+
			"promoted as often", after)
	}
	id, err := uuid.GenerateUUID()
	if err != nil {
		return replication.Epoch{}, err
	}
	return replication.Epoch{Generation: generation, ID: id}, nil
}
