// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/secondary"
	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// bundleKey is the name of the record of a secondary's credentials.
const bundleKey = "secondary/bundle"

// errCatchingUp is the refusal of a promotion that would lose writes.
var errCatchingUp = replication.Errorf(replication.Unavailable, "replication is still catching up, try again later "+
	"or provide the 'force' argument")

// EnableSecondary implements [replication.Backend].
func (e *Engine) EnableSecondary(ctx context.Context, req replication.EnableSecondaryRequest) (*replication.Transition,
	error) {
	if len(req.Bundle) == 0 {
		return e.handOverAnew(ctx, req.Challenge)
	}
	start, err := e.roles.asDisabled("enabling a secondary")
	if err != nil {
		return nil, err
	}
	bundle, err := readBundle(e.cfg.Mode, req.Bundle, req.ID)
	if err != nil {
		return nil, err
	}
	handover, node, err := bootstrap(ctx, e.host, bundle, usable(start, bundle), req.Challenge)
	if err != nil {
		return nil, err
	}
	records, err := bundleRecords(bundle, node.ClusterAddrs, node.FailoverAddrs,
		secondary.Known{API: node.APIAddr, Peers: node.PeerAPIAddrs})
	if err != nil {
		return nil, err
	}
	return &replication.Transition{
		Role: replication.Secondary, ClusterID: bundle.SetID, Handover: handover, ClearState: true, PutState: records,
	}, nil
}

// handOverAnew asks a secondary's primary once more for the handover.
func (e *Engine) handOverAnew(ctx context.Context, challenge []byte) (*replication.Transition, error) {
	start, s, err := e.roles.asSecondary("asking the primary for its keys")
	if err != nil {
		return nil, err
	}
	if s.client == nil {
		return nil, replication.Errorf(replication.Unreachable, "this secondary has no primary that could be asked for its "+
			"keys: use update-primary")
	}
	handover, _, err := bootstrap(ctx, e.host, s.bundle, s.client.Addresses(), challenge)
	if err != nil {
		return nil, err
	}
	return &replication.Transition{Role: start.Role, ClusterID: start.ClusterID, Handover: handover}, nil
}

// PromoteSecondary implements [replication.Backend].
func (e *Engine) PromoteSecondary(ctx context.Context, req replication.PromoteSecondaryRequest) (
	*replication.Transition, error) {
	start, s, err := e.roles.asSecondary("promoting")
	if err != nil {
		return nil, err
	}
	if !req.Force {
		if err := e.checkCaughtUp(ctx, s); err != nil {
			return nil, err
		}
	}
	beside, err := e.lookForPrimary(ctx, start, s, req.Force)
	if err != nil {
		return nil, err
	}
	if !req.Force {
		if err := beside.refusal(); err != nil {
			return nil, err
		}
	}
	t, err := e.newPrimary(start.ClusterID, req.PrimaryClusterAddr)
	if err != nil {
		return nil, err
	}
	t.Warnings = []string{"This cluster is now the primary. Other " + e.cfg.Mode.Name() + " secondaries need a new " +
		"activation token of it, used with update-primary."}
	if warning := beside.warning(); warning != "" {
		t.Contested = true
		t.Warnings = append(t.Warnings, warning)
	}
	return t, nil
}

// checkCaughtUp is Unavailable when a promotion would lose writes that can still be
// fetched. A secondary that is cut off from its primary has all it can get.
func (e *Engine) checkCaughtUp(ctx context.Context, s *secondaryRole) error {
	cursor, err := e.host.Cursor(ctx)
	if err != nil {
		return err
	}
	if cursor.AtOnePosition() && cursor.Missing > 0 {
		return replication.Errorf(replication.Unavailable, "%d keys of the primary are missing here, because the storage "+
			"of this cluster refuses them: see last_error, or use force to go on without them", cursor.Missing)
	}
	if !cursor.Consistent() {
		e.logger.Warn("refused a promotion: the data is not that of the primary at one position", "cursor",
			cursor.Position.String(), "copying", cursor.Copying, "consistent_from", cursor.ConsistentFrom)
		return errCatchingUp
	}
	if s.client == nil {
		return nil
	}
	now := s.client.Snapshot()
	if now.Connected && (now.State != replication.StreamWALs || now.Position.Epoch != cursor.Position.Epoch ||
		now.Position.Sequence > cursor.Position.Sequence) {
		e.logger.Warn("refused a promotion: the primary is connected and ahead", "cursor", cursor.Position.String(),
			"primary", now.Position.String(), "state", now.State)
		return errCatchingUp
	}
	return nil
}

// DisableSecondary implements [replication.Backend].
func (e *Engine) DisableSecondary(context.Context) (*replication.Transition, error) {
	if _, _, err := e.roles.asSecondary("disabling the secondary"); err != nil {
		return nil, err
	}
	return &replication.Transition{Role: replication.Disabled, ClearState: true}, nil
}

// UpdatePrimary implements [replication.Backend].
func (e *Engine) UpdatePrimary(ctx context.Context, req replication.UpdatePrimaryRequest) (*replication.Transition,
	error) {
	start, s, err := e.roles.asSecondary("updating the primary")
	if err != nil {
		return nil, err
	}
	known, err := secondary.LoadKnown(ctx, e.host)
	if err != nil {
		return nil, err
	}
	t := &replication.Transition{Role: replication.Secondary, ClusterID: start.ClusterID}
	switch {
	case len(req.Bundle) > 0 && len(req.Addrs) > 0:
		return nil, replication.Errorf(replication.InvalidInput, "give either a token or addresses of the primary, not both")
	case len(req.Bundle) > 0:
		bundle, err := readBundle(e.cfg.Mode, req.Bundle, req.ID)
		if err != nil {
			return nil, err
		}
		if bundle.SetID != start.ClusterID {
			return nil, replication.Errorf(replication.InvalidInput, "the activation token is of another replication set (%s) "+
				"than this secondary (%s): disable replication here before joining another set", bundle.SetID, start.ClusterID)
		}
		nodes, failover, next := []string(nil), []string(nil), known.Followed()
		if len(req.Challenge) > 0 {
			handover, node, err := bootstrap(ctx, e.host, bundle, usable(start, bundle), req.Challenge)
			if err != nil {
				return nil, err
			}
			t.Handover = handover
			nodes, failover, next.API = node.ClusterAddrs, node.FailoverAddrs, node.APIAddr
		}
		t.PutState, err = bundleRecords(bundle, nodes, failover, next)
		return t, err
	case len(req.Addrs) > 0:
		if s.bundle == nil {
			return nil, replication.Errorf(replication.InvalidInput, "this secondary has no credentials for a primary, so "+
				"addresses alone are not enough: use a token of the primary")
		}
		addresses, err := answering(ctx, e.host, s.bundle, req.Addrs)
		if err != nil {
			return nil, err
		}
		record, err := secondary.EncodeAddresses(addresses, nil, nil)
		if err != nil {
			return nil, err
		}
		// It answered, so it is the primary.
		known.Demoted = false
		encoded, err := known.Encode()
		t.PutState = map[string][]byte{secondary.AddressesKey: record, secondary.KnownKey: encoded}
		return t, err
	default:
		// This cluster no longer follows that primary, but asks it before a promotion.
		if s.bundle != nil {
			if known, err = e.forget(ctx, s, known); err != nil {
				return nil, err
			}
		}
		encoded, err := known.Encode()
		if err != nil {
			return nil, err
		}
		t.PutState = map[string][]byte{secondary.KnownKey: encoded}
		t.DeleteState = []string{bundleKey, secondary.AddressesKey}
		t.Warnings = []string{"This secondary has no primary now and does not try to connect to any."}
		return t, nil
	}
}

// forget returns what is known after the primary is forgotten.
func (e *Engine) forget(ctx context.Context, s *secondaryRole, known secondary.Known) (secondary.Known, error) {
	addresses, err := secondary.LoadAddresses(ctx, e.host, s.bundle.Addresses)
	if err != nil {
		return known, err
	}
	known.Ports = addresses.Candidates()
	known.Bundle, err = s.bundle.Encode()
	return known, err
}

// bundleRecords are the records of a secondary with a bundle. nodes and failover are addresses that its primary named.
func bundleRecords(b *trust.Bundle, nodes, failover []string, known secondary.Known) (map[string][]byte, error) {
	data, err := b.Encode()
	if err != nil {
		return nil, replication.Errorf(replication.Internal, "encoding the credentials of this secondary: %w", err)
	}
	others := link.MergeAddresses(b.Addresses, nodes)
	record, err := secondary.EncodeAddresses(secondary.Named(b.Addresses), others, failover)
	if err != nil {
		return nil, replication.Errorf(replication.Internal, "encoding the addresses of the primary: %w", err)
	}
	asked, err := known.Encode()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{bundleKey: data, secondary.AddressesKey: record, secondary.KnownKey: asked}, nil
}
