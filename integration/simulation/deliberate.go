// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Deliberate is a fault that was made on purpose, with the check that has to find it. It
// tests the simulation itself.
type Deliberate struct {
	Name   string
	Caught Check
	// Make breaks one run; each needs its own.
	Make func() Tamper
}

// Deliberates are the faults that the simulation must find.
var Deliberates = []Deliberate{
	{"an acknowledgement before the rows are durable", Bounded, func() Tamper { return Tamper{apply: answerFirst} }},
	{"storage that forgets the cursor of a transaction", Prefix, func() Tamper { return Tamper{disks: forgetCursors} }},
	{"frames that are applied out of order", Prefix, func() Tamper { return Tamper{apply: secondFrameFirst} }},
	{"a ring that gives the newest value instead of the one written", Prefix,
		func() Tamper { return Tamper{frame: newestValues} }},
	{"a copy that leaves out a key", Prefix, func() Tamper { return Tamper{ranges: leaveOutKey} }},
	{"a watermark that passes an unfinished write", Prefix, func() Tamper { return Tamper{frame: pastUnfinished} }},
	{"storage that answers before it has written", Acknowledged, func() Tamper {
		return Tamper{disks: func(p *disk, _ []*disk) { p.lying = true }}
	}},
	{"a secondary that copies with each session", Copies, func() Tamper {
		return Tamper{cursor: func(c *replication.Cursor) {
			if !c.Copying {
				*c = replication.Cursor{}
			}
		}}
	}},
	{"rows that are never sent", Rest, func() Tamper { return Tamper{frame: swallow()} }},
	{"a row of the index that outlives a write of its keys", Equal, func() Tamper { return Tamper{disks: keepIndexRows} }},
	{"a block of the index, one of several, that outlives a write", Equal,
		func() Tamper { return Tamper{disks: keepLaterBlocks} }},
	{"a reservation of numbers that is not durable", Prefix, func() Tamper { return Tamper{disks: forgetNumbers} }},
	{"a core that is told under the context of a session", Told, func() Tamper { return Tamper{apply: underSession} }},
	{"storage that carries out a failed write after a later one of the key", Prefix, func() Tamper {
		return Tamper{plan: func(p *plan) { p.late, p.leaders, p.mounts, p.strikes = true, false, nil, 8 },
			disks: func(p *disk, ss []*disk) {
				for _, d := range append([]*disk{p}, ss...) {
					d.disorderly = true
				}
			}}
	}},
	{"rows of a former leader that nobody looks for", Rest, func() Tamper {
		return Tamper{plan: func(p *plan) { p.late, p.leaders, p.mounts = false, true, nil },
			never: true, options: func(o *storage.Options) { o.LateEvery = 1000 * time.Hour }}
	}},
	{"a paths filter that is stored and not in force", Classes, func() Tamper {
		return Tamper{plan: performs, filter: func(*rule) *rule { return &rule{} }}
	}},
	{"a core that takes up no table of mounts", Classes, func() Tamper { return Tamper{plan: performs, deaf: true} }},
	{"a value that changes where it lies", Equal, func() Tamper { return Tamper{rest: rot} }},
}

// performs makes a run one in performance mode, in which filters change.
func performs(p *plan) {
	p.late, p.leaders = false, false
	p.mounts = newMountsPlan(p.stream(8), p.secondaries)
	p.mounts.changes = 30
	for i := range p.mounts.filtered {
		p.mounts.filtered[i] = true
	}
}

// answerFirst answers at once and applies afterwards.
func answerFirst(p *process) applyFrame {
	return func(_ context.Context, f *replication.Frame) (*replication.Cursor, error) {
		p.carryOut(func() {
			select {
			case p.applying <- struct{}{}:
			case <-p.handle.dead:
				return
			}
			defer func() { <-p.applying }()
			_, _ = p.tap.Secondary(p.node.sim.mode).ApplyFrame(context.Background(), f)
		})
		return &replication.Cursor{Position: f.To}, nil
	}
}

// forgetCursors loses the cursor of each seventh transaction that has one.
func forgetCursors(_ *disk, secondaries []*disk) {
	for _, d := range secondaries {
		n := 0
		d.loses = func(changes []change) []change {
			if len(changes) < 2 || !slices.ContainsFunc(changes, d.isCursor) {
				return changes
			}
			if n++; n%7 != 0 {
				return changes
			}
			return slices.DeleteFunc(slices.Clone(changes), d.isCursor)
		}
	}
}

// keepIndexRows forgets to delete the rows of the index when their keys are written.
func keepIndexRows(primary *disk, secondaries []*disk) {
	for _, d := range append([]*disk{primary}, secondaries...) {
		d.loses = func(changes []change) []change {
			return slices.DeleteFunc(slices.Clone(changes), func(c change) bool {
				return c.value == nil && isIndex(c.key)
			})
		}
	}
}

// keepLaterBlocks forgets to delete the stored blocks of the index but for the first one,
// which begins after no key.
func keepLaterBlocks(primary *disk, secondaries []*disk) {
	for _, d := range append([]*disk{primary}, secondaries...) {
		d.loses = func(changes []change) []change {
			return slices.DeleteFunc(slices.Clone(changes), func(c change) bool {
				return c.value == nil && isIndex(c.key) && !bytes.HasPrefix(d.rows[c.key], []byte{1, 0})
			})
		}
	}
}

// forgetNumbers loses what a term reserves after its first numbers.
func forgetNumbers(primary *disk, _ []*disk) {
	term := uint64(0)
	primary.loses = func(changes []change) []change {
		return slices.DeleteFunc(slices.Clone(changes), func(c change) bool {
			if c.key != journal.HeadKey || c.value == nil {
				return false
			}
			head, err := journal.DecodeHead(c.value)
			if err != nil || head.Term != term {
				term = head.Term
				return false
			}
			return true
		})
	}
}

func (d *disk) isCursor(c change) bool { return c.key == d.cursorKey }

// secondFrameFirst holds a frame back until the next one was applied in its place.
func secondFrameFirst(p *process) applyFrame {
	var held *replication.Frame
	n := 0
	return func(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
		if n++; held == nil && n%5 == 0 {
			held = f
			return &replication.Cursor{Position: f.To}, nil
		}
		if held == nil || f.After != held.To.Sequence {
			held = nil
			return p.tap.Secondary(p.node.sim.mode).ApplyFrame(ctx, f)
		}
		first := *f
		first.After, first.Payload = held.After, reencode(f, held.After, func(*journal.Op) {})
		if _, err := p.tap.Secondary(p.node.sim.mode).ApplyFrame(ctx, &first); err != nil {
			return nil, err
		}
		c, err := p.tap.Secondary(p.node.sim.mode).ApplyFrame(ctx, held)
		held = nil
		return c, err
	}
}

// reencode makes the payload of a frame anew, after another number.
func reencode(f *replication.Frame, after uint64, do func(*journal.Op)) []byte {
	rows, err := journal.DecodeFrame(f.Payload, f.After, f.To.Sequence)
	if err != nil {
		return f.Payload
	}
	enc := journal.NewFrameEncoder(after)
	for i := range rows {
		for k := range rows[i].Ops {
			do(&rows[i].Ops[k])
		}
		enc.Add(rows[i].Sequence, rows[i].Ops)
	}
	return enc.Payload()
}

func newestValues(tap *storage.Tap, f *replication.Frame) *replication.Frame {
	out := *f
	out.Payload = reencode(f, f.After, func(op *journal.Op) {
		if e, err := tap.Inner().Get(context.Background(), op.Key); err == nil && e != nil {
			op.Kind, op.Value = journal.Put, e.Value
		}
	})
	return &out
}

// leaveOutKey leaves out the first key of a range that has several.
func leaveOutKey(r *replication.Range) {
	pairs, err := journal.DecodeRange(r.Payload)
	if err != nil || len(pairs) < 2 {
		return
	}
	r.Payload = journal.EncodeRange(pairs[1:])
	r.Keys--
}

func pastUnfinished(tap *storage.Tap, f *replication.Frame) *replication.Frame {
	last, err := tap.LastWritten(replication.DR)
	if err != nil {
		return f
	}
	out := *f
	out.To.Sequence = max(f.To.Sequence, last.Sequence)
	return &out
}

// swallow lets some frames through and then none.
func swallow() func(*storage.Tap, *replication.Frame) *replication.Frame {
	var mu sync.Mutex
	n := 0
	return func(_ *storage.Tap, f *replication.Frame) *replication.Frame {
		mu.Lock()
		defer mu.Unlock()
		if n++; n > 10 {
			return nil
		}
		return f
	}
}

func rot(secondaries []*disk) {
	for _, d := range secondaries {
		d.mu.Lock()
		for k, v := range d.rows {
			if len(k) > 8 && k[:8] == "logical/" {
				d.rows[k] = append([]byte("rotten "), v...)
				break
			}
		}
		d.mu.Unlock()
	}
}
