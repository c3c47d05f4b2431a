// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/host/internal/pairing"
	"github.com/vault-replication/vault-replication/host/proof"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// refusalShown is how long the status shows at least that something was refused: a
// heartbeat that is good comes a second later.
const refusalShown = time.Minute

// relations are those of this cluster to its secondaries and its primaries. Their keys
// are in memory while the node is active, so that no frame costs a read of the storage.
type relations struct {
	tap    *storage.Tap
	paired *pairing.Book
	roles  *roles
	logger hclog.Logger

	mu sync.Mutex
	// life counts how often keys were forgotten: what was read before counts no more.
	life        uint64
	primaries   map[relationKey]*proof.Primary
	secondaries map[replication.Mode]*proof.Secondary
	refusals    map[replication.Mode]*refusals
}

type relationKey struct {
	mode replication.Mode
	id   string
}

// refusals are of messages between hosts that were not what they claimed to be.
type refusals struct {
	count uint64
	last  time.Time
	text  string
}

// forgetAll ends the use of all keys.
func (r *relations) forgetAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life++
	r.primaries, r.refusals = nil, nil
	for _, s := range r.secondaries {
		s.Unpair()
	}
}

// forget ends the use of the key of one secondary.
func (r *relations) forget(mode replication.Mode, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life++
	key := relationKey{mode, id}
	if p := r.primaries[key]; p != nil {
		p.End()
		delete(r.primaries, key)
	}
}

// refused counts a message that was refused.
func (r *relations) refused(mode replication.Mode) func(error) {
	return func(err error) {
		r.mu.Lock()
		if r.refusals == nil {
			r.refusals = map[replication.Mode]*refusals{}
		}
		if r.refusals[mode] == nil {
			r.refusals[mode] = &refusals{}
		}
		of := r.refusals[mode]
		of.count++
		of.last, of.text = time.Now(), err.Error()
		n := of.count
		r.mu.Unlock()
		r.logger.Error("refused what came through the replication plugin", "mode", mode, "count", n, "error", err)
	}
}

// held says that something was good: what was refused some time ago is over.
func (r *relations) held(mode replication.Mode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if of := r.refusals[mode]; of != nil && time.Since(of.last) >= refusalShown {
		of.text = ""
	}
}

// trouble is what the status says of refusals.
func (r *relations) trouble(mode replication.Mode) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.refusals[mode]
	if of == nil || of.text == "" {
		return ""
	}
	return fmt.Sprintf("%s (%d messages were refused since this node became active)", of.text, of.count)
}

// toSecondary is what this primary says to the secondary of an id; Denied without a
// pairing key.
func (r *relations) toSecondary(ctx context.Context, mode replication.Mode, id string) (*proof.Primary, error) {
	key := relationKey{mode, id}
	r.mu.Lock()
	p, life := r.primaries[key], r.life
	r.mu.Unlock()
	if p != nil {
		return p, nil
	}
	pairing, err := r.paired.Key(ctx, mode, id)
	if err != nil {
		return nil, err
	}
	defer clear(pairing)
	own, err := r.paired.Marks(ctx, mode, id)
	if err != nil {
		return nil, err
	}
	defer clear(own)
	of := proof.Relation{Mode: mode, SetID: r.roles.Record().mode(mode).SetID, SecondaryID: id}
	if p, err = proof.NewPrimary(r.tap, of, pairing, own, r.refused(mode)); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life != life {
		return nil, replication.Errorf(replication.Unavailable, "the keys of secondaries have changed meanwhile: try again")
	}
	if r.primaries == nil {
		r.primaries = map[relationKey]*proof.Primary{}
	}
	r.primaries[key] = p
	return p, nil
}

// toPrimary is what this secondary says to its primary.
func (r *relations) toPrimary(mode replication.Mode) (*proof.Secondary, error) {
	mr := r.roles.Record().mode(mode)
	defer clear(mr.Pairing)
	r.mu.Lock()
	s := r.secondaries[mode]
	if s == nil {
		if r.secondaries == nil {
			r.secondaries = map[replication.Mode]*proof.Secondary{}
		}
		s = proof.NewSecondary(r.tap.Secondary(mode), r.refused(mode))
		r.secondaries[mode] = s
	}
	r.mu.Unlock()
	return s, s.Pair(proof.Relation{Mode: mode, SetID: mr.SetID, SecondaryID: mr.SecondaryID}, mr.Pairing)
}
