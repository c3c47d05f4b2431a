// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"crypto/sha256"
	"sync"

	"github.com/vault-replication/vault-replication/host/proof"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/secondary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// keysOf returns the pairing key of a secondary and the primary's own key for it.
func keysOf(id string) (pairing, own []byte) {
	p, o := sha256.Sum256([]byte("pairing "+id)), sha256.Sum256([]byte("own "+id))
	return p[:], o[:]
}

func (p *process) relation(id string) proof.Relation {
	return proof.Relation{Mode: p.node.sim.mode, SetID: p.node.sim.set.id, SecondaryID: id}
}

// border makes what a host has between its storage and its plugin. Deliberate faults are in
// the storage, so its proofs are valid.
func (p *process) border() error {
	p.content = &content{Secondary: p.tap.Secondary(p.node.sim.mode)}
	p.from = proof.NewSecondary(p.content, nil)
	if p.node.role != replication.Secondary {
		return nil
	}
	pairing, _ := keysOf(p.node.name)
	return p.from.Pair(p.relation(p.node.name), pairing)
}

type secondaries struct {
	mu sync.Mutex
	of map[string]*proof.Primary
}

// to returns the primary's side of the relation to a secondary.
func (p *process) to(id string) *proof.Primary {
	p.secondaries.mu.Lock()
	defer p.secondaries.mu.Unlock()
	s := p.secondaries.of[id]
	if s == nil {
		pairing, own := keysOf(id)
		var err error
		if s, err = proof.NewPrimary(journalled{p.tap, p.node}, p.relation(id), pairing, own, nil); err != nil {
			panic(err) // the keys are made here
		}
		if p.secondaries.of == nil {
			p.secondaries.of = map[string]*proof.Primary{}
		}
		p.secondaries.of[id] = s
	}
	return s
}

// content is the storage of a secondary.
type content struct {
	*secondary.Secondary
	frame applyFrame
}

func (c *content) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	return c.frame(ctx, f)
}

// journalled is the storage of a primary.
type journalled struct {
	*storage.Tap
	node *node
}

func (j journalled) OpenSlot(ctx context.Context, m replication.Mode, id string) (replication.Position, error) {
	at, err := j.Tap.OpenSlot(ctx, m, id)
	j.node.say("slot %q opened at %d: %v", id, at.Sequence, err)
	return at, err
}

func (j journalled) ReadRange(ctx context.Context, m replication.Mode, id, after string) (*replication.Range, error) {
	r, err := j.Tap.ReadRange(ctx, m, id, after)
	if tamper := j.node.sim.tamper.ranges; tamper != nil && err == nil {
		tamper(r)
	}
	return r, err
}

func (j journalled) ReadJournal(ctx context.Context, m replication.Mode, id string, after replication.Position) (
	replication.FrameReader, error) {
	r, err := j.Tap.ReadJournal(ctx, m, id, after)
	if tamper := j.node.sim.tamper.frame; tamper != nil && err == nil {
		r = &tampered{r, j.Tap, tamper}
	}
	return r, err
}

type tampered struct {
	replication.FrameReader
	tap    *storage.Tap
	tamper func(*storage.Tap, *replication.Frame) *replication.Frame
}

func (r *tampered) Next() (*replication.Frame, error) {
	for {
		f, err := r.FrameReader.Next()
		if err != nil {
			return nil, err
		}
		if f = r.tamper(r.tap, f); f != nil {
			return f, nil
		}
	}
}
