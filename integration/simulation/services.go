// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Position implements replication.Host.
func (g *plugin) Position(ctx context.Context, id string) (*replication.JournalPosition, error) {
	return call(ctx, g, "Position", func(context.Context) (*replication.JournalPosition, error) {
		return g.p.to(id).Position()
	})
}

// OpenSlot implements replication.Host.
func (g *plugin) OpenSlot(ctx context.Context, id string, secondary replication.Proof) (*replication.Opening, error) {
	return call(ctx, g, "OpenSlot", func(ctx context.Context) (*replication.Opening, error) {
		return g.p.to(id).OpenSlot(ctx, secondary)
	})
}

// AckSlot implements replication.Host.
func (g *plugin) AckSlot(ctx context.Context, id string, at replication.Position, secondary replication.Proof) error {
	return do(ctx, g, "AckSlot", func(ctx context.Context) error { return g.p.to(id).AckSlot(ctx, at, secondary) })
}

// CloseSlot implements replication.Host.
func (g *plugin) CloseSlot(ctx context.Context, id string) error {
	return do(ctx, g, "CloseSlot", func(ctx context.Context) error {
		return g.p.tap.CloseSlot(ctx, g.p.node.sim.mode, id)
	})
}

// ReadJournal implements replication.Host.
func (g *plugin) ReadJournal(ctx context.Context, req replication.ReadJournalRequest) (replication.FrameReader, error) {
	r, err := call(ctx, g, "ReadJournal", func(context.Context) (replication.FrameReader, error) {
		return g.p.to(req.SlotID).ReadJournal(ctx, req.After, req.Proof)
	})
	if err != nil {
		return nil, err
	}
	g.p.node.say("the stream to %q begins after %d", req.SlotID, req.After.Sequence)
	return &frames{g: g, ctx: ctx, FrameReader: r, slot: req.SlotID}, nil
}

// frames are those of one session.
type frames struct {
	replication.FrameReader
	g    *plugin
	ctx  context.Context
	slot string
	sent outstanding
}

// Next implements replication.FrameReader.
func (r *frames) Next() (*replication.Frame, error) {
	n := r.g.p.node
	n.sim.window(n, r)
	f, err := call(r.ctx, r.g, "Next", func(context.Context) (*replication.Frame, error) { return r.FrameReader.Next() })
	if err == nil {
		r.sent.add(f)
	}
	return f, err
}

// ReadRange implements replication.Host.
func (g *plugin) ReadRange(ctx context.Context, req replication.ReadRangeRequest) (*replication.Range, error) {
	return call(ctx, g, "ReadRange", func(ctx context.Context) (*replication.Range, error) {
		return g.p.to(req.SlotID).ReadRange(ctx, req.After, req.Proof)
	})
}

// Cursor implements replication.Host.
func (g *plugin) Cursor(ctx context.Context) (*replication.Cursor, error) {
	return call(ctx, g, "Cursor", func(ctx context.Context) (*replication.Cursor, error) {
		c, err := g.p.tap.Secondary(g.p.node.sim.mode).Resume(ctx)
		if err != nil {
			return nil, err
		}
		must, err := g.p.tap.Secondary(g.p.node.sim.mode).MustCopy(ctx)
		if must {
			c.Position = replication.Position{}
		}
		if tamper := g.p.node.sim.tamper.cursor; tamper != nil && err == nil {
			tamper(c)
		}
		return g.p.from.Prove(c), err
	})
}

// apply lets one call that applies be under way, as the tap does: here it waits so
// that the clock of a bubble goes on.
func apply[T any](ctx context.Context, g *plugin, name string, f func(context.Context) (T, error)) (T, error) {
	return call(ctx, g, name, func(ctx context.Context) (T, error) {
		var none T
		select {
		case g.p.applying <- struct{}{}:
		case <-g.p.handle.dead:
			return none, errPower
		}
		defer func() { <-g.p.applying }()
		return f(ctx)
	})
}

// BeginCopy implements replication.Host.
func (g *plugin) BeginCopy(ctx context.Context, from replication.Opening) (*replication.Cursor, error) {
	return apply(ctx, g, "BeginCopy", func(ctx context.Context) (*replication.Cursor, error) {
		c, err := g.p.from.BeginCopy(ctx, from)
		g.p.node.say("a copy begins from %d: %v", from.Position.Sequence, err)
		return c, err
	})
}

// ApplyRange implements replication.Host.
func (g *plugin) ApplyRange(ctx context.Context, r *replication.Range) (*replication.Cursor, error) {
	return apply(ctx, g, "ApplyRange", func(ctx context.Context) (*replication.Cursor, error) {
		c, err := g.p.from.ApplyRange(ctx, r)
		g.p.node.say("range after %q, %d keys: %v", r.After, r.Keys, err)
		return c, err
	})
}

// AnswerDiff implements replication.Host.
func (g *plugin) AnswerDiff(ctx context.Context, req replication.AnswerDiffRequest) ([]byte, error) {
	return call(ctx, g, "AnswerDiff", func(ctx context.Context) ([]byte, error) {
		return g.p.to(req.SlotID).AnswerDiff(ctx, req.Question)
	})
}

// Diff implements replication.Host.
func (g *plugin) Diff(ctx context.Context, answer []byte) (*replication.DiffStep, error) {
	return apply(ctx, g, "Diff", func(ctx context.Context) (*replication.DiffStep, error) {
		step, err := g.p.from.Diff(ctx, answer)
		if err == nil {
			g.p.node.say("comparing: %d of %d keys fetched, done %t, copy %t", step.Synced, step.Differing, step.Done, step.Copy)
		}
		return step, err
	})
}

// Verify implements replication.Host.
func (g *plugin) Verify(ctx context.Context, at replication.Position, fingerprint replication.Fingerprint,
	primary replication.Proof) error {
	_, err := apply(ctx, g, "Verify", func(ctx context.Context) (nothing, error) {
		return nothing{}, g.p.from.Verify(ctx, at, fingerprint, primary)
	})
	return err
}

// EndCopy implements replication.Host.
func (g *plugin) EndCopy(ctx context.Context) (*replication.Cursor, error) {
	return apply(ctx, g, "EndCopy", func(ctx context.Context) (*replication.Cursor, error) {
		c, err := g.p.from.EndCopy(ctx)
		g.p.node.copied(err)
		if must, _ := g.p.tap.Secondary(g.p.node.sim.mode).MustCopy(ctx); err == nil && must && g.p.known != nil {
			go g.p.copyAgain(context.WithoutCancel(ctx))
		}
		return c, err
	})
}

// ApplyFrame implements replication.Host.
func (g *plugin) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	n := g.p.node
	return apply(ctx, g, "ApplyFrame", func(ctx context.Context) (*replication.Cursor, error) {
		n.begins(f)
		c, err := g.p.from.ApplyFrame(ctx, f)
		if err == nil {
			n.rests()
		}
		n.repeat(ctx, g.p.from, f)
		return c, err
	})
}
