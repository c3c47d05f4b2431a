// SPDX-License-Identifier: MPL-2.0

package role

import (
	"bytes"
	"context"
	"maps"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/host/internal/role/keys"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// keysPatience is how long keys of the primary may wait for their other half. If it has not come by then, it never
// will. Then the primary's host is asked for its keys, as when this cluster joined.
const keysPatience = 15 * time.Second

// keyTaker takes the primary's keys over when this cluster has others.
type keyTaker struct {
	changes  *changes
	core     *vaultcore.Core
	store    physical.Backend
	roles    *roles
	sessions *sessions
	rows     *rows
	ring     *keys.Ring
	shares   *keys.Shares
	requests Requests
	logger   hclog.Logger
}

// watchKeys looks for keys that wait too long for their other half, and for shares that are not the primary's, as long
// as the node is the active node of a secondary.
func (c *keyTaker) watchKeys(duty context.Context, mode replication.Mode) {
	ticker := time.NewTicker(keysPatience)
	defer ticker.Stop()
	waited := false
	for {
		ticked := false
		select {
		case <-duty.Done():
			return
		case <-c.shares.Came():
		case <-ticker.C:
			ticked = true
		}
		held, err := c.ring.Held(duty)
		if err != nil {
			continue
		}
		others, err := c.shares.Differ(duty)
		if err != nil && !held {
			c.logger.Warn("this secondary cannot tell whether its key shares are the primary's", "error", err)
		}
		if !others && err == nil {
			c.shares.Note(nil)
		}
		if held && waited && ticked || others && !held {
			err := c.takeKeysAnew(duty, mode)
			if others && duty.Err() == nil {
				c.shares.Note(err)
			}
			if err != nil && duty.Err() == nil {
				c.logger.Warn("the primary's new keys could not be had from it; it is asked again", "error", err)
			}
		}
		if ticked {
			waited = held
		}
	}
}

// takeKeysAnew asks the primary's host for its keys and takes them over, if this cluster
// has others: keyring, root key and shares, with the records of this cluster under the new
// keyring, in one step and a restart of the core in place.
func (c *keyTaker) takeKeysAnew(duty context.Context, mode replication.Mode) error {
	if err := c.changes.beginChange(); err != nil {
		return err
	}
	defer c.changes.changing.Unlock()
	before, err := c.ring.HeldRows(duty)
	if err != nil {
		return err
	}
	mr := c.roles.Record().mode(mode)
	_, material, err := c.sessions.askHandover(duty, mode, replication.EnableSecondaryRequest{}, mr.Pairing,
		handover.Binding{Mode: mode, SetID: mr.SetID, SecondaryID: mr.SecondaryID})
	if err != nil {
		return err
	}
	defer material.Wipe()
	if err := provesSet(mr, material); err != nil {
		return err
	}
	if len(before) == 0 {
		if err := otherShares(duty, c.core, material); err != nil {
			return err
		}
	}
	empty, open := c.requests.Hold()
	defer open()
	empty()
	// From here on nothing newer may arrive: it would be lost with the keys that wait.
	c.sessions.stopPlugin(mode)
	// The restart ends the duty.
	ctx := context.WithoutCancel(duty)
	err = c.takeKeys(ctx, mode, material, before)
	if err != nil {
		if duty, derr := c.roles.active(); derr == nil {
			c.sessions.startPlugin(duty, mode)
		}
	}
	return err
}

// otherShares is an error if the primary has handed over the shares that this cluster has already. Then the primary
// does not have the new ones itself: it is a performance secondary whose own primary was rekeyed.
func otherShares(ctx context.Context, core *vaultcore.Core, m *handover.Material) error {
	own, err := handover.SharesOf(ctx, core)
	if err != nil {
		return err
	}
	defer own.Wipe()
	if m.Same(own) {
		return replication.Errorf(replication.Unavailable, "the primary does not have the new key shares of its set yet")
	}
	return nil
}

func (c *keyTaker) takeKeys(ctx context.Context, mode replication.Mode, m *handover.Material,
	before map[string][]byte) error {
	now, err := c.ring.HeldRows(ctx)
	if err != nil {
		return err
	}
	if !maps.EqualFunc(before, now, bytes.Equal) {
		return replication.Errorf(replication.Unavailable, "the primary has changed its keys once more")
	}
	records, err := c.rows.ownRecords(ctx, mode)
	if err != nil {
		return err
	}
	a, err := handover.PrepareKeys(ctx, c.core, c.store, m, records, c.logger)
	if err != nil {
		return err
	}
	defer a.Wipe()
	for key := range now {
		a.Rows = append(a.Rows, onestep.Row{Key: key})
	}
	c.logger.Info("taking over the primary's keys: from now on the primary's key shares open this secondary, and no "+
		"others", "mode", mode)
	return c.core.Restart(ctx, func(ctx context.Context) ([]byte, error) {
		// An apply of a plugin that hung may still be under way.
		c.changes.applies.Lock()
		defer c.changes.applies.Unlock()
		if err := c.rows.write(ctx, a.Rows); err != nil {
			return nil, err
		}
		return a.RootKey, a.Take(ctx, c.core)
	})
}
