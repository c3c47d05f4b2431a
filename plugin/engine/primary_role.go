// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"time"

	"github.com/hashicorp/go-uuid"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/secondary"
	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	"github.com/vault-replication/vault-replication/shared/clusteraddr"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// EnablePrimary implements [replication.Backend].
func (e *Engine) EnablePrimary(_ context.Context, req replication.EnablePrimaryRequest) (*replication.Transition,
	error) {
	if _, err := e.roles.asDisabled("enabling a primary"); err != nil {
		return nil, err
	}
	setID, err := uuid.GenerateUUID()
	if err != nil {
		return nil, replication.Errorf(replication.Internal, "making the id of a replication set: %w", err)
	}
	return e.newPrimary(setID, req.PrimaryClusterAddr)
}

// newPrimary is the transition to a primary without secondaries. A promoted cluster takes
// it too. The key of the former authority never left the former primary, so the
// certificates that it issued prove nothing to this cluster.
func (e *Engine) newPrimary(setID, primaryClusterAddr string) (*replication.Transition, error) {
	if primaryClusterAddr != "" {
		if err := clusteraddr.Check(primaryClusterAddr); err != nil {
			return nil, err
		}
	}
	authority, err := trust.NewAuthority(e.cfg.Mode, setID, primaryClusterAddr, time.Now())
	if err != nil {
		return nil, replication.Errorf(replication.Internal, "making the certificate authority: %w", err)
	}
	record, err := authority.Encode()
	if err != nil {
		return nil, replication.Errorf(replication.Internal, "encoding the certificate authority: %w", err)
	}
	return &replication.Transition{
		Role: replication.Primary, ClusterID: setID, ClearState: true,
		PutState: map[string][]byte{trust.AuthorityKey: record},
	}, nil
}

// DemotePrimary implements [replication.Backend].
func (e *Engine) DemotePrimary(context.Context) (*replication.Transition, error) {
	start, p, err := e.roles.asPrimary("demoting")
	if err != nil {
		return nil, err
	}
	// One of its secondaries may be promoted in its place. Then this cluster must not be
	// promoted again beside it.
	var apis []string
	for _, peer := range p.server.Peers() {
		apis = append(apis, peer.APIAddress)
	}
	known, err := secondary.Known{Peers: link.APIAddresses(apis)}.Encode()
	if err != nil {
		return nil, err
	}
	p.demoted.Store(true)
	return &replication.Transition{
		Role: replication.Secondary, ClusterID: start.ClusterID, ClearState: true,
		PutState: map[string][]byte{secondary.KnownKey: known},
		Warnings: []string{"This cluster is now a secondary without a primary. Use update-primary with a token of the new " +
			"primary to let it follow."},
	}, nil
}

// DisablePrimary implements [replication.Backend].
func (e *Engine) DisablePrimary(context.Context) (*replication.Transition, error) {
	if _, _, err := e.roles.asPrimary("disabling the primary"); err != nil {
		return nil, err
	}
	return &replication.Transition{Role: replication.Disabled, ClearState: true}, nil
}

// SecondaryToken implements [replication.Backend].
func (e *Engine) SecondaryToken(ctx context.Context, req replication.SecondaryTokenRequest) (
	*replication.SecondaryTokenResponse, error) {
	start, p, err := e.roles.asPrimary("making a secondary token")
	if err != nil {
		return nil, err
	}
	if err := p.checkFree(req.ID); err != nil {
		return nil, err
	}
	node, err := e.host.Node(ctx)
	if err != nil {
		return nil, err
	}
	addresses := link.MergeAddresses([]string{p.authority.PrimaryClusterAddr(), node.ClusterAddr}, node.ClusterAddrs)
	if len(addresses) == 0 {
		return nil, replication.Errorf(replication.InvalidInput, "this node has no cluster address that a secondary could "+
			"connect to: set cluster_addr in the server's configuration, or primary_cluster_addr when enabling the primary")
	}
	now := time.Now()
	bundle, serial, err := p.authority.IssueBundle(req.ID, addresses, now)
	if err != nil {
		return nil, err
	}
	data, err := bundle.Encode()
	if err != nil {
		return nil, replication.Errorf(replication.Internal, "encoding the activation bundle: %w", err)
	}
	// This comes last, so that after an earlier failure a former certificate of the id is still in force.
	if err := p.registry.Register(ctx, req.ID, serial, now); err != nil {
		return nil, err
	}
	e.logger.Info("registered a secondary", "id", req.ID)
	return &replication.SecondaryTokenResponse{Bundle: data, ClusterID: start.ClusterID, Certificate: bundle.ClientCert},
		nil
}

// checkFree refuses an id whose secondary is connected, because the secondary would be cut off. A secondary that is not
// connected may have lost its token, or may be replaced.
func (p *primaryRole) checkFree(id string) error {
	if err := trust.CheckID(id); err != nil {
		return err
	}
	for _, peer := range p.server.Peers() {
		if peer.NodeID == id && peer.Connected {
			return replication.Errorf(replication.InvalidInput, "the secondary %q is connected, and a new token would cut it "+
				"off: choose another id, or revoke it first", id)
		}
	}
	return nil
}

// RevokeSecondary implements [replication.Backend].
func (e *Engine) RevokeSecondary(ctx context.Context, req replication.RevokeSecondaryRequest) error {
	_, p, err := e.roles.asPrimary("revoking a secondary")
	if err != nil {
		return err
	}
	if err := p.registry.Revoke(ctx, req.ID, time.Now()); err != nil {
		return err
	}
	e.logger.Info("revoked a secondary", "id", req.ID)
	if err := p.server.Revoke(ctx, req.ID); err != nil {
		// The secondary is cut and refused all the same. The next Start closes the slot.
		e.logger.Warn("could not close the slot of a revoked secondary", "id", req.ID, "error", err)
	}
	return nil
}
