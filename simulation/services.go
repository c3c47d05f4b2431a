// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Position implements replication.Host.
func (g *plugin) Position(ctx context.Context) (*replication.JournalPosition, error) {
	return call(ctx, g, "Position", func(context.Context) (*replication.JournalPosition, error) {
		return g.p.tap.Position(mode)
	})
}

// OpenSlot implements replication.Host.
func (g *plugin) OpenSlot(ctx context.Context, id string) (replication.Position, error) {
	return call(ctx, g, "OpenSlot", func(ctx context.Context) (replication.Position, error) {
		at, err := g.p.tap.OpenSlot(ctx, mode, id)
		g.p.node.say("slot %q opened at %d: %v", id, at.Sequence, err)
		return at, err
	})
}

// AckSlot implements replication.Host.
func (g *plugin) AckSlot(ctx context.Context, id string, at replication.Position) error {
	return do(ctx, g, "AckSlot", func(ctx context.Context) error { return g.p.tap.AckSlot(ctx, mode, id, at) })
}

// CloseSlot implements replication.Host.
func (g *plugin) CloseSlot(ctx context.Context, id string) error {
	return do(ctx, g, "CloseSlot", func(ctx context.Context) error { return g.p.tap.CloseSlot(ctx, mode, id) })
}

// ReadJournal implements replication.Host.
func (g *plugin) ReadJournal(ctx context.Context, req replication.ReadJournalRequest) (replication.FrameReader, error) {
	r, err := call(ctx, g, "ReadJournal", func(context.Context) (replication.FrameReader, error) {
		return g.p.tap.ReadJournal(ctx, mode, req.SlotID, req.After)
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
	f, err := call(r.ctx, r.g, "Next", func(context.Context) (*replication.Frame, error) {
		for {
			f, err := r.FrameReader.Next()
			if err != nil {
				return nil, err
			}
			if tamper := n.sim.tamper.frame; tamper != nil {
				if f = tamper(r.g.p.tap, f); f == nil {
					continue
				}
			}
			return f, nil
		}
	})
	if err == nil {
		r.sent.add(f)
	}
	return f, err
}

// ReadRange implements replication.Host.
func (g *plugin) ReadRange(ctx context.Context, req replication.ReadRangeRequest) (*replication.Range, error) {
	return call(ctx, g, "ReadRange", func(ctx context.Context) (*replication.Range, error) {
		r, err := g.p.tap.ReadRange(ctx, mode, req.SlotID, req.After)
		if tamper := g.p.node.sim.tamper.ranges; tamper != nil && err == nil {
			tamper(r)
		}
		return r, err
	})
}

// Cursor implements replication.Host.
func (g *plugin) Cursor(ctx context.Context) (*replication.Cursor, error) {
	return call(ctx, g, "Cursor", func(ctx context.Context) (*replication.Cursor, error) {
		c, err := g.p.tap.Cursor(ctx, mode)
		if err != nil {
			return nil, err
		}
		must, err := g.p.tap.MustCopy(ctx, mode)
		if must {
			c.Position = replication.Position{}
		}
		if tamper := g.p.node.sim.tamper.cursor; tamper != nil && err == nil {
			tamper(c)
		}
		return c, err
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
func (g *plugin) BeginCopy(ctx context.Context, from replication.Position) error {
	_, err := apply(ctx, g, "BeginCopy", func(ctx context.Context) (nothing, error) {
		err := g.p.tap.BeginCopy(ctx, mode, from)
		g.p.node.say("a copy begins from %d: %v", from.Sequence, err)
		return nothing{}, err
	})
	return err
}

// ApplyRange implements replication.Host.
func (g *plugin) ApplyRange(ctx context.Context, r *replication.Range) (*replication.Cursor, error) {
	return apply(ctx, g, "ApplyRange", func(ctx context.Context) (*replication.Cursor, error) {
		c, err := g.p.tap.ApplyRange(ctx, mode, r)
		g.p.node.say("range after %q, %d keys: %v", r.After, r.Keys, err)
		return c, err
	})
}

// AnswerDiff implements replication.Host.
func (g *plugin) AnswerDiff(ctx context.Context, req replication.AnswerDiffRequest) ([]byte, error) {
	return call(ctx, g, "AnswerDiff", func(ctx context.Context) ([]byte, error) {
		return g.p.tap.AnswerDiff(ctx, mode, req.SlotID, req.Question)
	})
}

// Diff implements replication.Host.
func (g *plugin) Diff(ctx context.Context, answer []byte) (*replication.DiffStep, error) {
	return apply(ctx, g, "Diff", func(ctx context.Context) (*replication.DiffStep, error) {
		step, err := g.p.tap.Diff(ctx, mode, answer)
		if err == nil {
			g.p.node.say("comparing: %d of %d keys fetched, done %t, copy %t", step.Synced, step.Differing, step.Done, step.Copy)
		}
		return step, err
	})
}

// Verify implements replication.Host.
func (g *plugin) Verify(ctx context.Context, at replication.Position, fingerprint replication.Fingerprint) error {
	_, err := apply(ctx, g, "Verify", func(ctx context.Context) (nothing, error) {
		return nothing{}, g.p.tap.Verify(ctx, mode, at, fingerprint)
	})
	return err
}

// EndCopy implements replication.Host.
func (g *plugin) EndCopy(ctx context.Context) (*replication.Cursor, error) {
	return apply(ctx, g, "EndCopy", func(ctx context.Context) (*replication.Cursor, error) {
		c, err := g.p.tap.EndCopy(ctx, mode)
		g.p.node.copied(err)
		return c, err
	})
}

// ApplyFrame implements replication.Host.
func (g *plugin) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	n := g.p.node
	return apply(ctx, g, "ApplyFrame", func(ctx context.Context) (*replication.Cursor, error) {
		n.begins(f)
		c, err := g.frame(ctx, mode, f)
		if err == nil {
			n.rests()
		}
		n.repeat(ctx, g.p.tap, f)
		return c, err
	})
}
