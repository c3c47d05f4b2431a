// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Serving is what a cluster in performance replication does for clients beyond
// storage: a secondary takes up what was applied and forwards writes, a primary
// carries out what is forwarded to it.
type Serving interface {
	// Applied makes the running core of a secondary take up keys that were written
	// below it, and returns those that it could not take up. Calls are one after the
	// other, in the order of the writes.
	Applied(ctx context.Context, keys []string) (left []string)
	// Receive carries out what a secondary's host has sealed for this one.
	Receive(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse, error)
	// Lacks says what a secondary cannot do, one sentence each.
	Lacks() []string
}

// SetServing gives it, once, before the first unseal.
func (c *Controller) SetServing(s Serving) { c.serving = s }

// Serves says whether this cluster is a performance secondary that serves clients.
func (c *Controller) Serves() bool {
	return c.Role(replication.Performance) == replication.Secondary && !c.bootstrapping.Load()
}

// Consistent says whether the content of this performance secondary is exactly that
// of its primary at one position.
func (c *Controller) Consistent(ctx context.Context) bool {
	cur, _, err := c.cursor(ctx, replication.Performance)
	return err == nil && cur.Consistent()
}

// Inert says whether the engines of this cluster are inert now.
func (c *Controller) Inert() bool { return c.bootstrapping.Load() || c.IsDRSecondary() }

// Forward carries sealed bytes to the host of the performance primary.
func (c *Controller) Forward(ctx context.Context, payload []byte) ([]byte, error) {
	b := c.plugins.Running(replication.Performance)
	if b == nil {
		return nil, replication.Errorf(replication.Unreachable, "the replication plugin is not running on this node, so that the primary cannot be reached: nothing was changed; try again in a moment")
	}
	resp, err := b.Forward(ctx, replication.ForwardRequest{Payload: payload})
	if err != nil {
		return nil, err
	}
	return resp.Payload, nil
}

// Relation names the relation of a performance secondary to its primary and the
// key that the two hosts share.
func (c *Controller) Relation() (setID, secondaryID string, key []byte) {
	mr := c.Record().mode(replication.Performance)
	return mr.SetID, mr.SecondaryID, mr.Pairing
}

// SetID is the id of the performance set.
func (c *Controller) SetID() string { return c.Record().Performance.SetID }

// PairingKey is the key that this performance primary shares with a secondary.
func (c *Controller) PairingKey(ctx context.Context, id string) ([]byte, error) {
	if err := mustBe(c.Record(), replication.Performance, replication.Primary); err != nil {
		return nil, err
	}
	return c.paired.Key(ctx, replication.Performance, id)
}

// WaitApplied waits until a position of the performance primary was applied here
// and taken up by the core.
func (c *Controller) WaitApplied(ctx context.Context, at replication.Position) error {
	return c.tap.Secondary(replication.Performance).WaitApplied(ctx, at)
}

// Position is that of the performance primary, this cluster, with every write that
// was answered.
func (c *Controller) Position() (replication.Position, error) {
	return c.tap.LastWritten(replication.Performance)
}

// Receive implements [replication.Host].
func (s *Services) Receive(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse, error) {
	if err := s.in(replication.Primary); err != nil {
		return nil, err
	}
	if s.mode != replication.Performance {
		return nil, replication.Errorf(replication.InvalidInput, "a DR primary carries out nothing for its secondaries")
	}
	return s.c.serving.Receive(ctx, req)
}
