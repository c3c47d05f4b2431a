// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/cluster"
	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/host/internal/pairing"
	"github.com/vault-replication/vault-replication/host/internal/role/relations"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Primary is what can be asked of this cluster as a primary, or to become one.
type Primary struct {
	changes   *changes
	tap       *storage.Tap
	port      *cluster.Port
	paired    *pairing.Book
	roles     *roles
	sessions  *sessions
	relations *relations.Relations
	logger    hclog.Logger
}

var _ endpoints.Primary = (*Primary)(nil)

// EnablePrimary makes a cluster without a role the primary of a new set. The cluster serves meanwhile, because the
// journal and the port of the mode are added to a running core.
func (c *Primary) EnablePrimary(ctx context.Context, mode replication.Mode, req replication.EnablePrimaryRequest) (
	[]string, error) {
	return c.changes.changeLive(ctx, &change{
		mode: mode, from: replication.Disabled, to: replication.Primary,
		ask: func(b replication.Backend, ctx context.Context) (*replication.Transition, error) {
			return b.EnablePrimary(ctx, req)
		},
	})
}

// DisablePrimary makes a primary a cluster without a role. Its secondaries lose
// their connection.
func (c *Primary) DisablePrimary(ctx context.Context, mode replication.Mode) ([]string, error) {
	return c.changes.changeLive(ctx, &change{
		mode: mode, from: replication.Primary, to: replication.Disabled,
		ask: replication.Backend.DisablePrimary,
	})
}

// SecondaryToken registers a secondary and returns what its activation token
// wraps.
func (c *Primary) SecondaryToken(ctx context.Context, mode replication.Mode, req replication.SecondaryTokenRequest) (
	*activation.Payload, []string, error) {
	if err := c.changes.beginChange(); err != nil {
		return nil, nil, err
	}
	defer c.changes.changing.Unlock()
	if err := mustBe(c.roles.Record(), mode, replication.Primary); err != nil {
		return nil, nil, err
	}
	b, err := c.sessions.backend(ctx, mode)
	if err != nil {
		return nil, nil, err
	}
	if err := c.paired.CheckTold(ctx, mode, req.ID); err != nil {
		return nil, nil, err
	}
	resp, err := b.SecondaryToken(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	if resp.ClusterID != c.roles.Record().mode(mode).SetID {
		return nil, nil, replication.Errorf(replication.Internal, "the plugin made a bundle of another replication set")
	}
	pairing := handover.NewKey()
	if err := c.paired.Add(ctx, mode, req.ID, resp.Certificate, pairing); err != nil {
		return nil, nil, err
	}
	c.relations.Forget(mode, req.ID)
	// Cut a connection that uses a former certificate of the id.
	c.port.Cut(mode, req.ID)
	return &activation.Payload{Mode: mode, ID: req.ID, ClusterID: resp.ClusterID, Bundle: resp.Bundle,
		PairingKey: pairing}, nil, nil
}

// DemotePrimary makes a primary a secondary of its set, without a primary.
func (c *Primary) DemotePrimary(ctx context.Context, mode replication.Mode) ([]string, error) {
	return c.changes.changeByRestart(ctx, &change{
		mode: mode, from: replication.Primary, to: replication.Secondary, what: "demotion",
		ask: replication.Backend.DemotePrimary,
	})
}

// RevokeSecondary cuts a secondary off until there is a new token for its id. This host does so at once, and the plugin
// as soon as it hears of it. The call does not wait for a change of role.
func (c *Primary) RevokeSecondary(ctx context.Context, mode replication.Mode,
	req replication.RevokeSecondaryRequest) ([]string, error) {
	duty, err := c.roles.active()
	if err != nil {
		return nil, err
	}
	if err := mustBe(c.roles.Record(), mode, replication.Primary); err != nil {
		return nil, err
	}
	known, err := c.paired.Revoke(ctx, mode, req.ID)
	c.relations.Forget(mode, req.ID)
	if known {
		c.port.Cut(mode, req.ID)
		c.logger.Info("revoked a secondary", "mode", mode, "id", req.ID)
	}
	if err != nil {
		return nil, err
	}
	if known {
		if err := c.tap.CloseSlot(ctx, mode, req.ID); err != nil {
			c.logger.Warn("the slot of a revoked secondary could not be closed", "id", req.ID, "error", err)
		}
	}
	telling, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	b, err := c.sessions.backend(telling, mode)
	if err == nil {
		err = c.sessions.tell(telling, mode, b, req.ID, known)
	}
	switch {
	case err == nil:
		return nil, nil
	case known:
		c.logger.Warn("the plugin has not heard of a revocation; it is told when it is up again",
			"mode", mode, "id", req.ID, "error", err)
		go c.sessions.keepTelling(duty, mode)
		return []string{"The secondary is cut off and refused. The replication plugin does not answer and hears of it when " +
			"it " +
			"does; until then it may still be shown in the status."}, nil
	default:
		return nil, err
	}
}
