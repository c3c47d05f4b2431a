// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/secondary"
	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	"github.com/vault-replication/vault-replication/shared/clusteraddr"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// joinDial bounds connecting to one address, joinCall the exchange after it.
	joinDial = 10 * time.Second
	joinCall = 90 * time.Second
)

// readBundle reads the credentials of an activation token.
func readBundle(mode replication.Mode, data []byte, id string) (*trust.Bundle, error) {
	bundle, err := trust.DecodeBundle(data, time.Now())
	if err != nil {
		return nil, err
	}
	return bundle, bundle.CheckFor(mode, id)
}

// usable are the addresses of a bundle that this cluster connects to.
func usable(start replication.StartRequest, b *trust.Bundle) []string {
	if start.OnlyGiven {
		return secondary.Named(b.Addresses)
	}
	return b.Addresses
}

// bootstrap asks the primary of a bundle for the handover. It tries the addresses in order.
func bootstrap(ctx context.Context, host replication.Host, b *trust.Bundle, addresses []string, challenge []byte) (
	*replication.Handover, *link.NodeInfo, error) {
	var first error
	var silent []string
	for _, address := range addresses {
		handover, node, err := bootstrapAt(ctx, host, b, address, challenge)
		if err == nil {
			return handover, node, nil
		}
		// A server that answers to this name with this authority is the primary. If it refuses, other addresses refuse too.
		if kind := replication.KindOf(err); kind == replication.InvalidInput || ctx.Err() != nil {
			return nil, nil, err
		}
		if replication.KindOf(err) == replication.Unreachable {
			silent = append(silent, err.Error())
		}
		if first == nil || replication.KindOf(first) == replication.Unreachable {
			first = err
		}
	}
	if len(silent) == len(addresses) && len(silent) > 1 {
		first = replication.Errorf(replication.Unreachable, "%s", strings.Join(silent, "; "))
	}
	return nil, nil, first
}

func bootstrapAt(ctx context.Context, host replication.Host, b *trust.Bundle, address string,
	challenge []byte) (*replication.Handover, *link.NodeInfo, error) {
	dialCtx, cancel := context.WithTimeout(ctx, joinDial)
	defer cancel()
	raw, err := host.Dial(dialCtx, b.DialRequest(address))
	if err != nil {
		return nil, nil, replication.Errorf(replication.KindOf(err), "the primary cannot be reached at %s: %w", address, err)
	}
	conn, err := link.NewClientConn(raw)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = conn.Close() }()
	callCtx, cancelCall := context.WithTimeout(ctx, joinCall)
	defer cancelCall()
	resp, err := linkv1.NewLinkClient(conn).Bootstrap(callCtx, &linkv1.BootstrapRequest{
		Version: link.ProtocolVersion, OldestVersion: link.OldestVersion, SetId: b.SetID, SecondaryId: b.SecondaryID,
		Challenge: challenge,
	})
	if why := link.Refused(raw); why != nil {
		err = why
	} else if err != nil {
		err = link.FromStatus(err)
	}
	if err != nil {
		return nil, nil, err
	}
	if n := len(resp.GetSealed()); n == 0 || n > link.HandoverMax {
		return nil, nil, replication.Errorf(replication.InvalidInput, "the primary at %s answered with %d bytes instead of "+
			"what is needed to join: run the same release on both clusters", address, n)
	}
	node := link.FromNode(resp.GetNode())
	return &replication.Handover{Sealed: resp.GetSealed()}, &node, nil
}

// answering checks addresses that an operator gave. Those at which the primary answers now come first. The error is
// Unreachable if it answers at none.
func answering(ctx context.Context, host replication.Host, b *trust.Bundle, addresses []string) ([]string, error) {
	if len(addresses) > link.AddressesMax {
		return nil, replication.Errorf(replication.InvalidInput, "%d addresses were given, at most %d are kept",
			len(addresses), link.AddressesMax)
	}
	for _, a := range addresses {
		if err := clusteraddr.Check(a); err != nil {
			return nil, err
		}
	}
	var failed []string
	for i, address := range addresses {
		dialCtx, cancel := context.WithTimeout(ctx, joinDial)
		conn, err := host.Dial(dialCtx, b.DialRequest(address))
		cancel()
		if err == nil {
			_ = conn.Close()
			return link.MergeAddresses([]string{address}, addresses[:i], addresses[i+1:]), nil
		}
		failed = append(failed, fmt.Sprintf("%s (%v)", address, err))
	}
	return nil, replication.Errorf(replication.Unreachable, "the primary answered at none of the addresses, nothing was "+
		"changed: %s", strings.Join(failed, "; "))
}
