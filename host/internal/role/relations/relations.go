// SPDX-License-Identifier: MPL-2.0

// Package relations has the relations of this cluster to its secondaries and its primaries: the keys with which hosts
// prove what plugins carry, and what was refused.
package relations

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

// refusalShown is how long the status shows a refusal at least. Without it the next good heartbeat, a second later,
// would end it.
const refusalShown = time.Minute

// Own is how a set calls this cluster, and the key that a secondary shares with its primary.
type Own struct {
	SetID, SecondaryID string
	Pairing            []byte
}

// Relations keeps the keys in memory while the node is active, so that no frame costs a read of the storage.
type Relations struct {
	tap    *storage.Tap
	paired *pairing.Book
	own    func(replication.Mode) Own
	logger hclog.Logger

	mu sync.Mutex
	// life counts how often keys were forgotten: keys that were read before do not count any more.
	life        uint64
	primaries   map[relationKey]*proof.Primary
	secondaries map[replication.Mode]*proof.Secondary
	refusals    map[replication.Mode]*refusals
}

type relationKey struct {
	mode replication.Mode
	id   string
}

// refusals counts messages between hosts that had no valid proof.
type refusals struct {
	count uint64
	last  time.Time
	text  string
}

// New makes a Relations. own is the present Own of a mode.
func New(tap *storage.Tap, paired *pairing.Book, own func(replication.Mode) Own, logger hclog.Logger) *Relations {
	return &Relations{tap: tap, paired: paired, own: own, logger: logger, primaries: map[relationKey]*proof.Primary{},
		secondaries: map[replication.Mode]*proof.Secondary{}, refusals: map[replication.Mode]*refusals{}}
}

// ForgetAll ends the use of all keys.
func (r *Relations) ForgetAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life++
	clear(r.primaries)
	clear(r.refusals)
	for _, s := range r.secondaries {
		s.Unpair()
	}
}

// Forget ends the use of the key of one secondary.
func (r *Relations) Forget(mode replication.Mode, id string) {
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
func (r *Relations) refused(mode replication.Mode) func(error) {
	return func(err error) {
		r.mu.Lock()
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

// Held says that a message was good. It ends refusals of some time ago.
func (r *Relations) Held(mode replication.Mode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if of := r.refusals[mode]; of != nil && time.Since(of.last) >= refusalShown {
		of.text = ""
	}
}

// Trouble is what the status says of refusals.
func (r *Relations) Trouble(mode replication.Mode) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.refusals[mode]
	if of == nil || of.text == "" {
		return ""
	}
	return fmt.Sprintf("%s (%d messages were refused since this node became active)", of.text, of.count)
}

// ToSecondary proves what this primary tells a secondary. The error is Denied without a pairing key.
func (r *Relations) ToSecondary(ctx context.Context, mode replication.Mode, id string) (*proof.Primary, error) {
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
	of := proof.Relation{Mode: mode, SetID: r.own(mode).SetID, SecondaryID: id}
	if p, err = proof.NewPrimary(r.tap, of, pairing, own, r.refused(mode)); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life != life {
		return nil, replication.Errorf(replication.Unavailable, "the keys of secondaries have changed meanwhile: try again")
	}
	r.primaries[key] = p
	return p, nil
}

// ToPrimary proves what this secondary tells its primary.
func (r *Relations) ToPrimary(mode replication.Mode) (*proof.Secondary, error) {
	own := r.own(mode)
	defer clear(own.Pairing)
	r.mu.Lock()
	s := r.secondaries[mode]
	if s == nil {
		s = proof.NewSecondary(r.tap.Secondary(mode), r.refused(mode))
		r.secondaries[mode] = s
	}
	r.mu.Unlock()
	return s, s.Pair(proof.Relation{Mode: mode, SetID: own.SetID, SecondaryID: own.SecondaryID}, own.Pairing)
}
