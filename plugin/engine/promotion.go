// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/lookout"
	"github.com/vault-replication/vault-replication/plugin/engine/internal/secondary"
	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// beside is the result of the search for a primary before a promotion.
type beside struct {
	verdict lookout.Verdict
	where   string
}

// refusal keeps a set from having two primaries whose clients both write. Nobody could
// merge that.
func (b beside) refusal() error {
	switch b.verdict {
	case lookout.Alive:
		return replication.Errorf(replication.Unavailable,
			"the primary works at %s, and a set has one primary: demote it first (primary/demote), or use force if that "+
				"cannot be done", b.where)
	case lookout.Unknown:
		return replication.Errorf(replication.Unavailable,
			"a server answers at %s and does not say whether it is the primary still: demote it or stop it, or use force if "+
				"it is not the primary", b.where)
	default:
		return nil
	}
}

// warning is for the operator of a forced promotion. Empty if there is no primary beside
// it.
func (b beside) warning() string {
	const undo = "what their clients write is never merged. Demote that one. " +
		"To undo this promotion, disable replication here and enable this cluster as a secondary anew."
	switch b.verdict {
	case lookout.Alive:
		return "The primary at " + b.where + " works: there are two now, and " + undo
	case lookout.Unknown:
		return "A server answers at " + b.where + " and does not say whether it is the primary still. If it is, there are " +
			"two now, and " + undo
	default:
		return ""
	}
}

// lookForPrimary looks whether the set has a primary beside this cluster. It asks the
// cluster ports and the API of the last known primary, and the clusters that may have taken
// its place.
func (e *Engine) lookForPrimary(ctx context.Context, start replication.StartRequest, s *secondaryRole,
	hurry bool) (beside, error) {
	known, err := secondary.LoadKnown(ctx, e.host)
	if err != nil {
		return beside{}, err
	}
	search := lookout.Search{Hurry: hurry, Places: []lookout.Place{said(s, known)}}
	bundle, ports := s.bundle, known.Ports
	if bundle != nil {
		addresses, err := secondary.LoadAddresses(ctx, e.host, bundle.Addresses)
		if err != nil {
			return beside{}, err
		}
		ports = addresses.Candidates()
		for _, a := range addresses.Failover() {
			search.Places = append(search.Places, port(e.host, bundle, a, false))
		}
	} else if len(known.Bundle) > 0 {
		if bundle, err = trust.DecodeStoredBundle(known.Bundle); err != nil {
			return beside{}, err
		}
	}
	if bundle != nil {
		for _, a := range ports {
			search.Places = append(search.Places, port(e.host, bundle, a, true))
		}
	}
	if known.API != "" {
		search.Places = append(search.Places, api(e.host, known.API, start.ClusterID, true))
	}
	for _, a := range known.Peers {
		search.Places = append(search.Places, api(e.host, a, start.ClusterID, false))
	}
	if s.client != nil {
		if now := s.client.Snapshot(); !now.Connected {
			search.Ended = now.LastEnd
		}
	}
	begun := time.Now()
	verdict, where, err := search.Find(ctx)
	e.logger.Info("looked for a primary beside this cluster", "places", len(search.Places), "alive",
		verdict == lookout.Alive,
		"unknown", verdict == lookout.Unknown, "where", where, "took", time.Since(begun).Round(time.Millisecond).String())
	return beside{verdict, where}, err
}

// said looks at what the primary said in its last session, which may still be live.
func said(s *secondaryRole, known secondary.Known) lookout.Place {
	return lookout.Place{Name: "its last session", Own: true, Look: func(context.Context) lookout.Sight {
		if known.Demoted || s.client != nil && s.client.Demoted() {
			return lookout.Former
		}
		return lookout.Nothing
	}}
}

// port is the cluster port of a primary. A server that answers there with a certificate of
// the set's authority is its primary, because no other cluster listens for secondaries.
func port(host replication.Host, bundle *trust.Bundle, address string, own bool) lookout.Place {
	return lookout.Place{Name: address, Own: own, Look: func(ctx context.Context) lookout.Sight {
		conn, err := host.Dial(ctx, bundle.DialRequest(address))
		switch {
		case err == nil:
			_ = conn.Close()
			return lookout.Primary
		case replication.KindOf(err) == replication.Unreachable, replication.KindOf(err) == replication.InvalidInput:
			return lookout.Nothing
		default:
			// The server refuses, or could not be asked.
			return lookout.Somebody
		}
	}}
}

// api is the API of a cluster. Nothing proves who answers there, and nothing has to: an
// attacker who can forge the answer can as well cut the network, which makes a primary look
// dead.
func api(host replication.Host, address, setID string, own bool) lookout.Place {
	return lookout.Place{Name: address, Own: own, Look: func(ctx context.Context) lookout.Sight {
		a, err := host.RoleAt(ctx, address)
		switch {
		case err != nil:
			return lookout.Nothing
		case a.Role == replication.Primary && (a.ClusterID == "" || a.ClusterID == setID):
			return lookout.Primary
		case a.Role == replication.Disabled, a.Role == replication.Secondary && a.ClusterID == setID && a.SecondaryID == "":
			// A cluster with an id as a secondary is another cluster, which now has the address.
			return lookout.Former
		default:
			return lookout.Nothing
		}
	}}
}
