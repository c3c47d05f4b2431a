// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"bytes"
	"context"
	"encoding/hex"
	"maps"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// cursorOn is the cursor on a node's disk; the caller holds disk.mu.
func cursorOn(d *disk) *replication.Cursor {
	b := d.rows[d.cursorKey]
	if b == nil {
		return &replication.Cursor{}
	}
	// Rows are never written into, so it is the same row while it begins at the same place.
	if d.cursor == nil || d.cursorRow != &b[0] {
		d.cursor, d.cursorRow = &replication.Cursor{}, &b[0]
		if c, err := journal.DecodeCursor(b); err == nil {
			d.cursor = c.Contract()
		}
	}
	return d.cursor
}

// check compares a secondary with the primary after each of the secondary's writes. It is
// called with disk.mu held. Storage without transactions gets an applied row key by key and
// then the cursor. Until it rests again, keys may be newer than the cursor.
func (r *run) check(n *node, _ []change) {
	n.sim.compare(n, !n.disk.txn)
}

// rests is called when nothing is being applied, so that storage without transactions is
// exact too. Now and then it compares the fingerprint with the content.
func (n *node) rests() {
	n.mu.Lock()
	n.rested++
	look := n.rested%4 == 0
	n.mu.Unlock()
	p := n.now()
	sure := !n.unsure.Load()
	if p != nil && n.sim.indexes() && p.tap.Indexes().State(n.sim.mode).Wrong {
		n.sim.fail(Equal, "%s has stored an index that was not that of its content", n.name)
	}
	if p != nil && look && sure && p.core.settled() {
		f, _ := p.tap.Indexes().Fingerprint(n.sim.mode)
		if want := printOf(n.sim.set.indexKey, n.sim.replica(n)); f != nil && f.String() != want && !n.unsure.Load() {
			n.sim.fail(Equal, "the fingerprint of %s is %s, that of its content %s", n.name, f, want)
		}
	}
	n.sim.checkTold(n)
	n.mu.Lock()
	ahead := n.ahead
	n.mu.Unlock()
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.sim.compare(n, !n.disk.txn && cursorOn(n.disk).Position.Sequence < ahead)
}

// begins notes up to where rows may be there. If a frame failed on storage without
// transactions, some of its rows are there, and the cursor is behind them until the frame
// comes again.
func (n *node) begins(f *replication.Frame) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ahead = max(n.ahead, f.To.Sequence)
}

func (r *run) compare(n *node, newer bool) {
	c := cursorOn(n.disk)
	// A slot that was given up retains no rows, and its session goes on from the primary's
	// memory: its disk does not tell then which number a write has.
	if !c.Consistent() || r.plan.slotBytes > 0 || r.deposed.Load() {
		return
	}
	if what := r.history.compare(n.disk.rows, c.Position.Sequence, newer); what != "" {
		r.fail(Prefix, "%s is at %d and says that it is consistent, but %s", n.name, c.Position.Sequence, what)
	}
}

// outstanding are the frames of a session that the secondary has not made durable.
type outstanding struct{ frames []frameSize }

type frameSize struct {
	to    uint64
	bytes int
}

func (o *outstanding) add(f *replication.Frame) {
	o.frames = append(o.frames, frameSize{f.To.Sequence, len(f.Payload)})
}

// window checks, when a session asks for the next frame, that there is room for it: what
// the session has sent and the secondary's disk does not have is bounded.
func (r *run) window(_ *node, f *frames) {
	for i, s := range r.secondaries {
		if f.slot != secondaryID(i) {
			continue
		}
		s.disk.mu.Lock()
		at := cursorOn(s.disk).Position.Sequence
		s.disk.mu.Unlock()
		bytes := 0
		kept := f.sent.frames[:0]
		for _, one := range f.sent.frames {
			if one.to > at {
				kept = append(kept, one)
				bytes += one.bytes
			}
		}
		f.sent.frames = kept
		if len(kept) > 0 && (bytes >= windowBytes || len(kept) >= windowFrames) {
			r.fail(Bounded, "%d frames with %d bytes are under way to %s, which has applied %d, and one more is read", len(kept),
				bytes, s.name, at)
		}
	}
}

// copied counts a copy, or a comparison, that has ended. One that began and brought nothing
// because the session ended cost nothing.
func (n *node) copied(err error) {
	n.say("the copy ends: %v", err)
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.copies++
}

// content are the replicated rows of a node.
func (r *run) content(n *node) map[string][]byte {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	out := map[string][]byte{}
	for k, v := range n.disk.rows {
		if r.history.replicated(k) {
			out[k] = v
		}
	}
	return out
}

// restTime is how long after the last fault all must be equal. A primary makes a secondary
// wait that asks for copies in a row.
const restTime = 20 * time.Minute

// settle waits for the secondaries to catch up and makes the last checks.
func (r *run) settle(ctx context.Context) {
	begun, rounded := time.Now(), false
	if r.deposed.Load() {
		pause(ctx, foundAfter)
	}
	for {
		why := r.behind()
		if why == "" {
			break
		}
		if ctx.Err() != nil {
			return
		}
		if r.deposed.Load() && time.Since(begun) > roundAfter && !rounded && !r.tamper.never {
			rounded = true
			r.primary.unsure.Store(true)
			r.sums(rounds)
			for _, s := range r.secondaries {
				r.mayCopy(s) // until then it was compared again and again, less and less often
				r.mayCopy(s)
			}
		}
		r.lookAgain(ctx)
		if time.Since(begun) > restTime {
			r.fail(Rest, "%s after faults had ended: %s", restTime, why)
			return
		}
		pause(ctx, 500*time.Millisecond)
	}
	r.events.add("sim", "all is quiet")
	if rest := r.tamper.rest; rest != nil {
		rest(r.secondaryDisks())
	}
	r.last()
}

// behind says why it is not quiet yet.
func (r *run) behind() string {
	p := r.primary.now()
	if p == nil {
		return "the primary is down"
	}
	at, err := p.tap.Position(r.mode)
	if err != nil {
		return err.Error()
	}
	written, err := p.tap.LastWritten(r.mode)
	if err != nil {
		return err.Error()
	}
	if at.Position.Sequence != written.Sequence {
		return "writes of the primary are not finished"
	}
	if at.Fingerprint == nil {
		return "the primary's fingerprint is not known"
	}
	for _, n := range r.nodes() {
		n.disk.mu.Lock()
		owing := len(n.disk.owing)
		n.disk.mu.Unlock()
		if owing > 0 || n.unsure.Load() {
			return "a write of " + n.name + " that has failed may take effect, or has"
		}
	}
	for _, s := range r.secondaries {
		sp := s.now()
		if sp == nil {
			return s.name + " is down"
		}
		s.disk.mu.Lock()
		c := cursorOn(s.disk)
		s.disk.mu.Unlock()
		if !c.Consistent() || c.Position.Sequence != at.Position.Sequence || c.Position.Epoch != at.Position.Epoch {
			return s.name + " is not where the primary is"
		}
		f, _ := sp.tap.Indexes().Fingerprint(r.mode)
		if f == nil {
			return "the fingerprint of " + s.name + " is not known"
		}
		if must, err := sp.tap.Secondary(r.mode).MustCopy(context.Background()); must || err != nil {
			return s.name + " has to copy"
		}
		if r.repairs() && !bytes.Equal(f, at.Fingerprint) {
			return "the content of " + s.name + " differs, and has to be repaired"
		}
		if sp.tap.Secondary(r.mode).Applied(context.Background()) != c.Position || !sp.core.cleared() {
			return "the core of " + s.name + " has not taken up all that is stored"
		}
	}
	return ""
}

// repairs says whether something was written past the journal, so that secondaries may differ
// until fingerprints are compared.
func (r *run) repairs() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.late > 0 || r.deposed.Load()
}

// indexes says whether no comparison with the storage may find that an index is wrong. Where
// mounts change it may: the classes of keys change a moment before the index knows.
func (r *run) indexes() bool { return !r.repairs() && r.plan.mounts == nil }

// last makes the checks of a run that has become quiet.
func (r *run) last() {
	r.reachedAll()
	r.came()
	want := r.content(r.primary)
	if broken := r.history.broken; broken != "" && !r.deposed.Load() {
		r.fail(Order, "%s", broken)
		return
	}
	if !r.checkAcked(want) {
		return
	}
	for _, n := range r.nodes() {
		if r.indexes() && n.now().tap.Indexes().State(r.mode).Wrong {
			r.fail(Equal, "%s has stored an index that was not that of its content", n.name)
			return
		}
		got := r.content(n)
		if !maps.EqualFunc(got, want, bytes.Equal) {
			r.fail(Equal, "%s has %d keys, the primary %d, and they are not equal", n.name, len(got), len(want))
			return
		}
		whole := r.replica(n)
		wantPrint := printOf(r.set.indexKey, whole)
		if f, keys := n.now().tap.Indexes().Fingerprint(r.mode); f.String() != wantPrint || keys != uint64(len(whole)) {
			r.fail(Equal, "the fingerprint of %s is %s of %d keys, that of its content %s", n.name, f, keys, wantPrint)
			return
		}
	}
	for _, s := range r.secondaries {
		if !r.checkTold(s) || (r.plan.mounts != nil && !r.checkClasses(s)) {
			return
		}
		s.mu.Lock()
		copies := s.copies
		s.mu.Unlock()
		r.mu.Lock()
		lost := r.lost[s.name] + r.late
		r.mu.Unlock()
		if allowed := 1 + r.plan.grave + lost; copies > allowed {
			r.fail(Copies, "%s has copied %d times, its slot was lost %d times, and %d faults may cost a copy", s.name, copies,
				lost, r.plan.grave)
		}
	}
}

// lostSlots counts slots that are given up, when their records land.
func (r *run) lostSlots(changes []change) {
	for _, c := range changes {
		if c.value == nil || !strings.HasPrefix(c.key, journal.SlotPrefix(r.mode)) {
			continue
		}
		if s, err := journal.DecodeSlot(c.value); err == nil && s.Lost != "" {
			r.mu.Lock()
			r.lost[s.ID]++
			r.mu.Unlock()
			r.reach(slotsLost, 1)
		}
	}
}

// reachedAll notes how many parts the index of the primary had, and how often numbers were
// reserved.
func (r *run) reachedAll() {
	h := fingerprint.NewHasher(r.set.indexKey)
	ranges, blocks := 1, 0
	r.primary.disk.mu.Lock()
	for key := range r.primary.disk.rows {
		switch {
		case r.history.replicated(key) && h.Level(key) >= fingerprint.CutLevel:
			ranges++
		case isIndex(key):
			blocks++ // and a head
		}
	}
	reserved := r.primary.disk.steps[stepHead] - 2*r.primary.disk.steps[stepFence]
	r.primary.disk.mu.Unlock()
	r.reach(reservation, reserved)
	r.reach(manyRanges, ranges)
	r.reach(manyBlocks, blocks-1)
}

func printOf(key fingerprint.Key, rows map[string][]byte) string {
	h := fingerprint.NewHasher(key)
	var sum fingerprint.Sum
	for k, v := range rows {
		sum.Add(h.Element(k, v))
	}
	return hex.EncodeToString(h.Root(sum, uint64(len(rows))))
}

// checkAcked says whether the primary has all that it has acknowledged. It runs when the
// primary's server starts, and at the end.
func (r *run) checkAcked(rows map[string][]byte) bool {
	r.mu.Lock()
	acked := r.acked
	r.mu.Unlock()
	for _, a := range acked {
		n, landed := r.history.placeOf(a.key, a.value)
		now, _ := r.history.placeOf(a.key, rows[a.key])
		if !landed || (rows[a.key] != nil && now < n) || (rows[a.key] == nil && r.history.newest(a.key) != nil) {
			r.fail(Acknowledged, "%s was answered to be %s, and the primary has %s", a.key, show(a.value), show(rows[a.key]))
			return false
		}
	}
	return true
}
