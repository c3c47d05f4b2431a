// SPDX-License-Identifier: MPL-2.0

package index

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/walk"
)

const (
	// roundGroups is how many groups of keys a round reads before each pause. At 256 keys a second a million take an hour,
	// without load to speak of.
	roundGroups = 4
	roundPause  = time.Second
	// An index that was stored is compared faster, a million keys in a minute, because the storage may have changed while
	// no index ran.
	firstGroups = 16
	firstPause  = 50 * time.Millisecond
	// roundEvery is the time between two rounds.
	roundEvery = time.Hour
	// roundCreated is how many keys may be created ahead of a round before it is given up, because they are kept in
	// memory.
	roundCreated = 1 << 20
)

// round compares the index with the storage in the background, slowly, to find changes that were made below this
// server. It lists each directory once.
type round struct {
	pass *fingerprint.Pass
	walk *walk.Walk
}

// pause is the pause before the round goes on, or before the next one begins.
func (r *round) pause(confirmed bool) time.Duration {
	switch {
	case !confirmed && r.pass != nil:
		return firstPause
	case !confirmed || r.pass != nil:
		return roundPause
	default:
		return roundEvery
	}
}

// advance goes on with the round, or begins one.
func (r *round) advance(ctx context.Context, p *Index) error {
	if r.pass == nil {
		pass := p.index.Begin()
		w, err := walk.New(ctx, p.of.below.Inner, "")
		if err != nil {
			pass.End()
			return err
		}
		r.pass, r.walk = pass, w
	}
	groups := roundGroups
	if !p.confirmed.Load() {
		groups = firstGroups
	}
	for range groups {
		n, err := readGroup(ctx, p.of, p.mode, r.pass, r.walk)
		if err != nil {
			r.end()
			return err
		}
		if n > 0 {
			continue
		}
		wrong, done, err := finishPass(ctx, p.of, r.pass)
		r.end()
		if done {
			p.checked(wrong)
		}
		return err
	}
	if !r.pass.Current() || r.pass.Created() > roundCreated {
		r.end()
	}
	return nil
}

func (r *round) end() {
	if r.pass != nil {
		r.pass.End()
	}
	*r = round{}
}
