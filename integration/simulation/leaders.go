// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/primary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// On storage that does not fence a node that was deposed goes on: its writes land, it serves
// the secondaries that are connected with it, until it notices. What it has written is in the
// storage, and the secondaries get it from the leader, who finds it by its row.

// foundAfter is how long the leader may take to find rows after the last one.
const foundAfter = 30 * time.Second

// roundAfter is when the index of the leader is compared with its storage, as it is once an
// hour, if that is what it takes.
const roundAfter = 5 * time.Minute

// depose is the fault of a run with two leaders.
var depose = kind{"another node leads, this one goes on", false, func(ctx context.Context, n *node, rng *rand.Rand) {
	n = n.sim.primary
	n.mu.Lock()
	p := n.proc
	if p == nil || n.former != nil || p.handle.over() {
		n.mu.Unlock()
		return
	}
	n.former, n.proc, n.downtime = p, nil, short(rng, time.Second)
	n.mu.Unlock()
	n.sim.deposed.Store(true)
	n.sim.sums(deposed)
	for _, s := range n.sim.secondaries {
		n.sim.mayCopy(s) // it may have got more from the former leader than the next one finds
		n.sim.mayCopy(s) // and a comparison finds what that has written past the index
	}
	n.disk.mu.Lock()
	p.handle.deposed = true
	n.disk.mu.Unlock()
	close(p.deposed)
	pause(ctx, short(rng, 15*time.Second))
	n.say("the former leader notices")
	p.end(false)
	n.mu.Lock()
	n.former = nil
	n.mu.Unlock()
}}

// leading is the process that a client writes to: perhaps that of a former leader.
func (n *node) leading(rng *rand.Rand) *process {
	n.mu.Lock()
	former := n.former
	n.mu.Unlock()
	if former != nil && rng.IntN(2) == 0 && !former.handle.over() {
		return former
	}
	return n.now()
}

// landedDeposed looks at what a former leader has written. Its row tells the next one, and
// without a row the index does, when it is compared with the storage.
func (r *run) landedDeposed(changes []change) {
	row := false
	for _, c := range changes {
		row = row || strings.HasPrefix(c.key, journal.RowPrefix)
	}
	r.history.mu.Lock()
	defer r.history.mu.Unlock()
	for _, c := range changes {
		if !r.history.replicated(c.key) {
			continue
		}
		r.sums(lateLeader)
		if _, ahead := r.history.writer[c.key]; !row && !ahead {
			r.primary.unsure.Store(true)
		}
	}
}

// beginHistory begins a new epoch when a secondary has shown what is not in the history of
// the leader, as a host does.
func (p *process) beginHistory(ctx context.Context) error {
	r := p.node.sim
	r.mu.Lock()
	r.epoch.Generation++
	r.epoch.ID = fmt.Sprintf("simulated %d", r.epoch.Generation)
	r.mu.Unlock()
	for _, s := range r.secondaries {
		r.mayCopy(s)
	}
	r.sums(epochs)
	p.node.say("a new epoch begins")
	if err := p.activate(ctx); err != nil {
		return err
	}
	p.tap.BeginHistory()
	return nil
}

func (p *process) activate(ctx context.Context) error {
	r := p.node.sim
	r.mu.Lock()
	epoch := r.epoch
	r.mu.Unlock()
	return p.tap.Activate(ctx, primary.Config{Modes: map[replication.Mode]primary.ModeConfig{
		r.mode: {Epoch: epoch, IndexKey: r.set.indexKey},
	}})
}

// HistoryLost implements storage.Observer.
func (t *tables) HistoryLost() {
	t.p.carryOut(func() {
		select {
		case <-t.p.deposed:
			return // the next leader finds it too
		default:
		}
		if !t.p.admit() {
			return
		}
		defer t.p.writes.Done()
		for !t.p.handle.over() && t.p.beginHistory(context.Background()) != nil {
			time.Sleep(time.Second)
		}
	})
}
