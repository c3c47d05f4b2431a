// SPDX-License-Identifier: MPL-2.0

package secondary

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
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

	mu     sync.Mutex
	record addressRecord
}

type addressRecord struct {
	// Configured come from the bundle or from update-primary, Learnt from the
	// primary; Used is the one that worked last.
	Configured []string `json:"configured"`
	Learnt     []string `json:"learnt,omitempty"`
	Used       string   `json:"used,omitempty"`
}

// EncodeAddresses makes the record for addresses that an operator gave.
func EncodeAddresses(configured []string) ([]byte, error) {
	return json.Marshal(addressRecord{Configured: link.MergeAddresses(configured)})
}

// LoadAddresses reads the record; without one the fallback is what an operator
// gave.
func LoadAddresses(ctx context.Context, r records, fallback []string) (*Addresses, error) {
	a := &Addresses{records: r, record: addressRecord{Configured: fallback}}
	data, err := r.GetState(ctx, AddressesKey)
	if err != nil || data == nil {
		return a, err
	}
	a.record = addressRecord{}
	if err := json.Unmarshal(data, &a.record); err != nil {
		return nil, fmt.Errorf("reading the record of the primary's addresses: %w", err)
	}
	return a, nil
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

// Learn records what the primary says; it writes only when something changed.
func (a *Addresses) Learn(ctx context.Context, used string, learnt []string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := addressRecord{Configured: a.record.Configured, Learnt: learnt, Used: used}
	if len(learnt) == 0 {
		next.Learnt = a.record.Learnt
	}
	if next.Used == a.record.Used && slices.Equal(next.Learnt, a.record.Learnt) {
		return nil
	}
	data, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := a.records.PutState(ctx, AddressesKey, data); err != nil {
		return err
	}
	a.record = next
	return nil
}
