// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/clusteraddr"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// AddressesKey is the name of the record of the primary's addresses.
const AddressesKey = "secondary/addresses"

// Addresses has the addresses of the primary's nodes: those that an operator gave, and those that the primary has named
// since.
type Addresses struct {
	record[addressRecord]
	// OnlyGiven skips all addresses that no operator gave. They are kept, because before a promotion all are asked.
	OnlyGiven bool
}

type addressRecord struct {
	// Configured come from the bundle or from update-primary, Learnt from the primary. Given are those of Configured that
	// an operator named. A record of a former version has none; there the first of Configured was named. Used is the
	// address that worked last. Failover are the addresses of clusters that may take the primary's place, as the primary
	// said.
	Configured []string `json:"configured"`
	Given      []string `json:"given,omitempty"`
	Learnt     []string `json:"learnt,omitempty"`
	Used       string   `json:"used,omitempty"`
	Failover   []string `json:"failover,omitempty"`
}

// EncodeAddresses makes the record for addresses that an operator gave, for others of the
// primary, and for what is known of those that may take its place.
func EncodeAddresses(given, others, failover []string) ([]byte, error) {
	return json.Marshal(addressRecord{Configured: link.MergeAddresses(given, others), Given: given, Failover: failover})
}

// LoadAddresses reads the record. If there is none, fallback is what an operator gave.
func LoadAddresses(ctx context.Context, r records, fallback []string) (*Addresses, error) {
	a := &Addresses{record: newRecord(r, AddressesKey, addressRecord{Configured: fallback})}
	data, err := r.GetState(ctx, AddressesKey)
	if err != nil || data == nil {
		return a, err
	}
	if a.value, err = decodeAddresses(data); err != nil {
		return nil, err
	}
	if len(a.value.Configured) == 0 {
		a.value.Configured = fallback
	}
	return a, nil
}

// decodeAddresses reads the record. It leaves out what is no address, and what is too many:
// all of them are dialled.
func decodeAddresses(data []byte) (addressRecord, error) {
	var r addressRecord
	kind := strictjson.Record{Name: "the record of the primary's addresses", Max: replication.StateValueMax, Open: true}
	if err := kind.Decode(data, &r); err != nil {
		return addressRecord{}, fmt.Errorf("%w: use update-primary to write it anew", err)
	}
	r.Configured, r.Learnt = link.MergeAddresses(r.Configured), link.MergeAddresses(r.Learnt)
	r.Given = link.MergeAddresses(r.Given)
	if clusteraddr.Check(r.Used) != nil {
		r.Used = ""
	}
	if r.Failover != nil {
		r.Failover = link.FailoverAddresses(r.Failover)
	}
	return r, nil
}

// Candidates are all addresses in the order to try them: what worked last, then
// what an operator gave (it may be the only way through a load balancer), then
// what the primary said, its active node first.
func (a *Addresses) Candidates() []string {
	now := a.now()
	if a.OnlyGiven {
		given := now.Given
		if len(given) == 0 {
			given = Named(now.Configured)
		}
		if !slices.Contains(given, now.Used) {
			return given
		}
		return link.MergeAddresses([]string{now.Used}, given)
	}
	return link.MergeAddresses([]string{now.Used}, now.Configured, now.Learnt)
}

// Named are the addresses of a bundle that the primary's operator named: only the first, which is its
// primary_cluster_addr if it has one.
func Named(ofBundle []string) []string { return ofBundle[:min(1, len(ofBundle))] }

// Known are the addresses of the primary's nodes, as it said last.
func (a *Addresses) Known() []string {
	now := a.now()
	if len(now.Learnt) == 0 {
		return slices.Clone(now.Configured)
	}
	return slices.Clone(now.Learnt)
}

// Failover are the addresses of clusters that may take the primary's place.
func (a *Addresses) Failover() []string {
	if a.OnlyGiven {
		return nil
	}
	return slices.Clone(a.now().Failover)
}

// Learn records what the primary says.
func (a *Addresses) Learn(ctx context.Context, used string, node link.NodeInfo) error {
	return a.change(ctx, func(r *addressRecord) {
		r.Used = used
		if len(node.ClusterAddrs) > 0 {
			r.Learnt = node.ClusterAddrs
		}
		if node.FailoverAddrs != nil {
			r.Failover = node.FailoverAddrs
		}
	})
}

// Move makes another cluster the primary. It forgets the addresses of the former one: a
// server that comes back there has an older history.
func (a *Addresses) Move(ctx context.Context, to string, node link.NodeInfo) error {
	return a.change(ctx, func(r *addressRecord) {
		*r = addressRecord{Configured: []string{to}, Learnt: node.ClusterAddrs, Used: to, Failover: node.FailoverAddrs}
	})
}
