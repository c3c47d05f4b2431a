// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/clusteraddr"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// AddressesKey is the name of the record of the primary's addresses.
const AddressesKey = "secondary/addresses"

// records is the part of replication.Host that is needed to keep addresses.
type records interface {
	GetState(ctx context.Context, key string) ([]byte, error)
	PutState(ctx context.Context, key string, value []byte) error
}

// Addresses are those of the primary's nodes: what an operator gave, and what
// the primary said since.
type Addresses struct {
	records records
	// writing is held while the record is written. That may take long, and a status must
	// not wait for it.
	writing link.Gate

	mu     sync.Mutex
	record addressRecord
}

type addressRecord struct {
	// Configured come from the bundle or from update-primary, Learnt from the primary. Used
	// is the one that worked last. Failover are the addresses of clusters that may take the
	// primary's place, as the primary said.
	Configured []string `json:"configured"`
	Learnt     []string `json:"learnt,omitempty"`
	Used       string   `json:"used,omitempty"`
	Failover   []string `json:"failover,omitempty"`
}

// EncodeAddresses makes the record for addresses that an operator gave, and for what
// is known of those that may take the primary's place.
func EncodeAddresses(configured, failover []string) ([]byte, error) {
	return json.Marshal(addressRecord{Configured: link.MergeAddresses(configured), Failover: failover})
}

// LoadAddresses reads the record. If there is none, fallback is what an operator gave.
func LoadAddresses(ctx context.Context, r records, fallback []string) (*Addresses, error) {
	a := &Addresses{records: r, writing: link.NewGate(), record: addressRecord{Configured: fallback}}
	data, err := r.GetState(ctx, AddressesKey)
	if err != nil || data == nil {
		return a, err
	}
	if a.record, err = decodeAddresses(data); err != nil {
		return nil, err
	}
	if len(a.record.Configured) == 0 {
		a.record.Configured = fallback
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
	a.mu.Lock()
	defer a.mu.Unlock()
	return link.MergeAddresses([]string{a.record.Used}, a.record.Configured, a.record.Learnt)
}

// Known are the addresses of the primary's nodes, as it said last.
func (a *Addresses) Known() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.record.Learnt) == 0 {
		return slices.Clone(a.record.Configured)
	}
	return slices.Clone(a.record.Learnt)
}

// Failover are the addresses of clusters that may take the primary's place.
func (a *Addresses) Failover() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.record.Failover)
}

// Learn records what the primary says; it writes only when something changed.
func (a *Addresses) Learn(ctx context.Context, used string, node link.NodeInfo) error {
	if err := a.writing.Enter(ctx); err != nil {
		return err
	}
	defer a.writing.Leave()
	now := a.now()
	next := addressRecord{Configured: now.Configured, Learnt: node.ClusterAddrs, Used: used, Failover: node.FailoverAddrs}
	if len(next.Learnt) == 0 {
		next.Learnt = now.Learnt
	}
	if next.Failover == nil {
		next.Failover = now.Failover
	}
	return a.put(ctx, next)
}

// Move makes another cluster the primary. It forgets the addresses of the former one: a
// server that comes back there has an older history.
func (a *Addresses) Move(ctx context.Context, to string, node link.NodeInfo) error {
	if err := a.writing.Enter(ctx); err != nil {
		return err
	}
	defer a.writing.Leave()
	return a.put(ctx, addressRecord{Configured: []string{to}, Learnt: node.ClusterAddrs, Used: to,
		Failover: node.FailoverAddrs})
}

func (a *Addresses) now() addressRecord {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.record
}

// put requires writing to be held.
func (a *Addresses) put(ctx context.Context, next addressRecord) error {
	now := a.now()
	if next.Used == now.Used && slices.Equal(next.Configured, now.Configured) &&
		slices.Equal(next.Learnt, now.Learnt) && slices.Equal(next.Failover, now.Failover) {
		return nil
	}
	data, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := a.records.PutState(ctx, AddressesKey, data); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.record = next
	return nil
}
