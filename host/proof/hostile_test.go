// SPDX-License-Identifier: MPL-2.0

package proof_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/proof"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// These tests are a plugin that was taken over: it has all that passes, on both sides,
// and hands to the hosts what it likes.

const user = "logical/m/user/gone"

// A user is deleted; the plugin has the row and wants it back on the secondary.
func TestNothingOldIsTakenAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := newPair(t)
	p.put(user, "password")
	oldOpening := p.open()
	copying, err := p.from.BeginCopy(ctx, *oldOpening)
	require.NoError(t, err)
	oldRanges := p.ranges(copying)
	for _, r := range oldRanges {
		_, err := p.from.ApplyRange(ctx, r)
		require.NoError(t, err)
	}
	_, err = p.from.EndCopy(ctx)
	require.NoError(t, err)
	require.Equal(t, "password", p.has(user))
	p.put("logical/m/other", "1")
	oldFrame := p.frame(p.cursor())
	p.apply(oldFrame)
	p.delete(user)
	p.apply(p.frame(p.cursor()))
	require.Empty(t, p.has(user))
	at := p.cursor().Position

	t.Log("frames")
	p.apply(oldFrame) // it is past, and changes nothing
	require.Equal(t, at, p.cursor().Position)
	t.Log("a copy from an old position")
	_, err = p.from.BeginCopy(ctx, *oldOpening)
	requireKind(t, replication.Denied, err)
	require.False(t, p.cursor().Copying)
	t.Log("old ranges without a copy, and in a new one")
	_, err = p.from.ApplyRange(ctx, oldRanges[0])
	requireKind(t, replication.InvalidInput, err) // there is none to which it could belong
	opening := p.open()
	begun, err := p.from.BeginCopy(ctx, *opening)
	require.NoError(t, err)
	for _, r := range oldRanges {
		_, err = p.from.ApplyRange(ctx, r)
		requireKind(t, replication.Denied, err)
	}
	t.Log("an old cursor, for a range that counts now")
	old, err := p.to.ReadRange(ctx, "", copying.Proof)
	require.NoError(t, err, "the primary cannot tell, the secondary does")
	_, err = p.from.ApplyRange(ctx, old)
	requireKind(t, replication.Denied, err)
	_, err = p.from.BeginCopy(ctx, *opening)
	requireKind(t, replication.Denied, err)
	for _, r := range p.ranges(begun) {
		_, err = p.from.ApplyRange(ctx, r)
		require.NoError(t, err)
	}
	_, err = p.from.EndCopy(ctx)
	require.NoError(t, err)
	require.Empty(t, p.has(user))
	require.Equal(t, 3+len(oldRanges), p.refusals)
}

// What is between two frames is not left out, and they are applied in order.
func TestFramesAreTakenInOrder(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := newPair(t)
	p.copy()
	begin := p.cursor()
	p.put("logical/m/1", "a")
	first := p.frame(begin)
	p.put("logical/m/2", "b")
	r, err := p.to.ReadJournal(ctx, begin.Position, begin.Proof)
	require.NoError(t, err)
	both, err := r.Next()
	require.NoError(t, err)
	p.apply(first)
	second := p.frame(p.cursor())
	require.NoError(t, r.Close())

	// A secondary that is at the beginning again, as after a crash.
	p.copy()
	p.put("logical/m/3", "c")
	third := p.frame(p.cursor())
	p.put("logical/m/4", "d")
	p.apply(third)
	fourth := p.frame(p.cursor())
	q := newPair(t)
	q.from = q.hear(relation, p.secret)
	q.to, q.primary, q.secret = p.to, p.primary, p.secret
	q.copy()
	at := q.cursor()
	p.put("logical/m/5", "e")
	fifth := p.frame(at)
	p.put("logical/m/6", "f")
	_, err = q.from.ApplyFrame(ctx, fifth)
	require.NoError(t, err)
	sixth := p.frame(q.cursor())
	p.put("logical/m/7", "g")
	_, err = q.from.ApplyFrame(ctx, sixth)
	require.NoError(t, err)
	seventh := p.frame(q.cursor())
	p.put("logical/m/8", "h")

	// p has not had the fifth to the seventh.
	p.apply(fourth)
	_, err = p.from.ApplyFrame(ctx, seventh)
	requireKind(t, replication.PositionLost, err)
	moved := *seventh
	moved.After = p.cursor().Position.Sequence // the gap is denied
	_, err = p.from.ApplyFrame(ctx, &moved)
	requireKind(t, replication.Denied, err)
	require.Empty(t, p.has("logical/m/7"))
	p.apply(fifth)
	p.apply(sixth)
	p.apply(seventh)
	require.Equal(t, "g", p.has("logical/m/7"))
	for _, f := range []*replication.Frame{first, both, second, third} {
		p.apply(f)
	}
	require.Equal(t, seventh.To, p.cursor().Position)
}

// What the plugin makes itself has no proof; what it has changed has another one.
func TestForgedContentIsRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := newPair(t)
	p.copy()
	p.put("core/audit", "devices")
	good := p.frame(p.cursor())
	enc := journal.NewFrameEncoder(good.After)
	enc.Add(good.To.Sequence, []journal.Op{{Kind: journal.Delete, Key: "core/audit"}})
	for name, f := range map[string]*replication.Frame{
		"no proof":              {After: good.After, To: good.To, Payload: enc.Payload()},
		"the proof of another":  {After: good.After, To: good.To, Payload: enc.Payload(), Proof: good.Proof},
		"a proof of nothing":    {After: good.After, To: good.To, Payload: enc.Payload(), Proof: make([]byte, 32)},
		"the proof of a cursor": {After: good.After, To: good.To, Payload: enc.Payload(), Proof: p.cursor().Proof},
	} {
		_, err := p.from.ApplyFrame(ctx, f)
		require.Equal(t, replication.Denied, replication.KindOf(err), "%s: %v", name, err)
	}
	p.apply(good)
	require.Equal(t, "devices", p.has("core/audit"))
}

// An answer belongs to the last question, and counts once.
func TestAnswersAreToTheirQuestions(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := newPair(t)
	for _, k := range []string{"a", "b", "c", "d", "e"} {
		p.put("logical/m/"+k, "1")
	}
	p.copy()
	ask := func() *replication.DiffStep {
		step, err := p.from.Diff(ctx, nil)
		require.NoError(t, err)
		require.NotEmpty(t, step.Question)
		return step
	}
	answer := func(question []byte) []byte {
		a, err := p.to.AnswerDiff(ctx, question)
		require.NoError(t, err)
		return a
	}
	_, err := p.from.BeginCopy(ctx, *p.open())
	require.NoError(t, err)
	question := ask().Question
	old := answer(question)
	p.delete("logical/m/c")
	_, err = p.from.BeginCopy(ctx, *p.open())
	require.NoError(t, err)
	_, err = p.from.Diff(ctx, old)
	requireKind(t, replication.Denied, err)
	again := ask().Question
	require.NotEqual(t, question, again, "the same question twice would have the same answer twice")
	_, err = p.from.Diff(ctx, old)
	requireKind(t, replication.Denied, err)
	_, err = p.from.Diff(ctx, answer(ask().Question)[:8])
	requireKind(t, replication.Denied, err)
	_, err = p.from.Diff(ctx, []byte{})
	requireKind(t, replication.Denied, err)
	changed := answer(ask().Question)
	changed[len(changed)/2] ^= 1
	_, err = p.from.Diff(ctx, changed)
	requireKind(t, replication.Denied, err)

	// The plugin asks for itself.
	for name, q := range map[string][]byte{"none": {}, "short": make([]byte, 31), "made up": make([]byte, 64)} {
		_, err := p.to.AnswerDiff(ctx, q)
		require.Equal(t, replication.Denied, replication.KindOf(err), "%s: %v", name, err)
	}
	bent := ask().Question
	bent[len(bent)-1] ^= 1
	_, err = p.to.AnswerDiff(ctx, bent)
	requireKind(t, replication.Denied, err)

	step, last := ask(), []byte(nil)
	for !step.Done {
		last = answer(step.Question)
		step, err = p.from.Diff(ctx, last)
		require.NoError(t, err)
	}
	_, err = p.from.Diff(ctx, last)
	requireKind(t, replication.Denied, err)
	_, err = p.from.EndCopy(ctx)
	require.NoError(t, err)
	require.Empty(t, p.has("logical/m/c"))
}

// A fingerprint belongs to its position.
func TestFingerprintsAreOfTheirPosition(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := newPair(t)
	p.put("logical/m/1", "a")
	p.copy()
	var at *replication.JournalPosition
	require.Eventually(t, func() bool {
		var err error
		at, err = p.to.Position()
		return err == nil && len(at.Fingerprint) > 0
	}, time.Minute, time.Millisecond)
	require.NoError(t, p.from.Verify(ctx, at.Position, at.Fingerprint, at.Proof))
	other := at.Position
	other.Sequence++
	requireKind(t, replication.Denied, p.from.Verify(ctx, other, at.Fingerprint, at.Proof))
	requireKind(t, replication.Denied,
		p.from.Verify(ctx, at.Position, append(replication.Fingerprint{0}, at.Fingerprint...), at.Proof))
	requireKind(t, replication.Denied, p.from.Verify(ctx, at.Position, at.Fingerprint, nil))

	require.NotZero(t, at.Keys)
	require.NoError(t, p.primary.SetFilter(t.Context(), replication.DR, relation.SecondaryID,
		func(string) bool { return false }))
	at, err := p.to.Position()
	require.NoError(t, err)
	require.Zero(t, at.Keys, "nobody has counted its part")
	require.Empty(t, at.Fingerprint, "a secondary that gets a part would take it for its own")
	require.Empty(t, at.Proof)
}

// The primary deletes no row before the secondary's host has it.
func TestAcknowledgementsAreTheSecondarys(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := newPair(t)
	p.copy()
	before := p.cursor()
	p.put("logical/m/1", "a")
	f := p.frame(before)
	for name, proof := range map[string]replication.Proof{"none": nil, "of the position before": before.Proof,
		"of the frame": f.Proof} {
		err := p.to.AckSlot(ctx, f.To, proof)
		require.Equal(t, replication.Denied, replication.KindOf(err), "%s: %v", name, err)
		_, err = p.to.ReadJournal(ctx, f.To, proof)
		require.Equal(t, replication.Denied, replication.KindOf(err), "%s: %v", name, err)
	}
	require.NoError(t, p.to.AckSlot(ctx, replication.Position{}, nil), "that it is there needs no proof")
	require.Equal(t, f.To, func() replication.Position { f := p.frame(before); return f.To }(), "the row is gone")
	p.apply(f)
	require.NoError(t, p.to.AckSlot(ctx, f.To, p.cursor().Proof))
	_, err := p.to.ReadRange(ctx, "", p.cursor().Proof)
	requireKind(t, replication.InvalidInput, err) // no copy
}

// Nothing of one relation, mode or direction counts in another one.
func TestRelationsAreApart(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := newPair(t)
	p.copy()
	c := p.cursor()
	p.put("logical/m/1", "a")
	f := p.frame(c)
	at, err := p.to.Position()
	require.NoError(t, err)
	for name, other := range map[string]struct {
		of     proof.Relation
		secret secret
	}{
		"another mode": {proof.Relation{Mode: replication.Performance, SetID: relation.SetID,
			SecondaryID: relation.SecondaryID}, p.secret},
		"another set": {proof.Relation{Mode: relation.Mode, SetID: "other", SecondaryID: relation.SecondaryID},
			p.secret},
		"another secondary": {proof.Relation{Mode: relation.Mode, SetID: relation.SetID, SecondaryID: "other"}, p.secret},
		"another key":       {relation, newSecret(2)},
	} {
		from := p.hear(other.of, other.secret)
		_, err := from.ApplyFrame(ctx, f)
		require.Equal(t, replication.Denied, replication.KindOf(err), "%s: %v", name, err)
		require.Equal(t, replication.Denied, replication.KindOf(from.Verify(ctx, at.Position, at.Fingerprint, at.Proof)),
			name)
		foreign, err := from.Cursor(ctx)
		require.NoError(t, err)
		_, err = p.to.OpenSlot(ctx, foreign.Proof)
		require.Equal(t, replication.Denied, replication.KindOf(err), "%s: %v", name, err)
		_, err = p.say(other.of, other.secret).OpenSlot(ctx, c.Proof)
		require.Equal(t, replication.Denied, replication.KindOf(err), "%s: %v", name, err)
	}
	alone := proof.NewSecondary(p.secondary.Secondary(replication.DR), nil)
	_, err = alone.ApplyFrame(ctx, f)
	requireKind(t, replication.Denied, err)
	none, err := alone.Cursor(ctx)
	require.NoError(t, err)
	require.Empty(t, none.Proof)
}

// A new token for the same secondary ends the copy that is under way with the old one.
func TestPairedAnewNothingOldCounts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := newPair(t)
	p.put("logical/m/1", "a")
	begun, err := p.from.BeginCopy(ctx, *p.open())
	require.NoError(t, err)
	r := p.ranges(begun)[0]
	require.NoError(t, p.from.Pair(relation, newSecret(2).pairing))
	_, err = p.from.ApplyRange(ctx, r)
	requireKind(t, replication.Denied, err)
	require.NoError(t, p.from.Pair(relation, p.secret.pairing))
	_, err = p.from.ApplyRange(ctx, r)
	requireKind(t, replication.Denied, err)
	// The copy goes on, as over a restart.
	for _, r := range p.ranges(p.cursor()) {
		_, err := p.from.ApplyRange(ctx, r)
		require.NoError(t, err)
	}
	require.Equal(t, "a", p.has("logical/m/1"))
}

// A secondary that is revoked gets nothing, not by what was opened before either.
func TestRevokedGetsNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := newPair(t)
	p.copy()
	c := p.cursor()
	r, err := p.to.ReadJournal(ctx, c.Position, c.Proof)
	require.NoError(t, err)
	p.put("logical/m/1", "a")
	p.to.End()
	_, err = r.Next()
	requireKind(t, replication.Denied, err)
	require.NoError(t, r.Close())
	for name, call := range map[string]func() error{
		"Position":    func() error { _, err := p.to.Position(); return err },
		"OpenSlot":    func() error { _, err := p.to.OpenSlot(ctx, c.Proof); return err },
		"AckSlot":     func() error { return p.to.AckSlot(ctx, c.Position, c.Proof) },
		"it is there": func() error { return p.to.AckSlot(ctx, replication.Position{}, nil) },
		"ReadJournal": func() error { _, err := p.to.ReadJournal(ctx, c.Position, c.Proof); return err },
		"ReadRange":   func() error { _, err := p.to.ReadRange(ctx, "", c.Proof); return err },
		"AnswerDiff":  func() error { _, err := p.to.AnswerDiff(ctx, nil); return err },
	} {
		require.Equal(t, replication.Denied, replication.KindOf(call()), name)
	}
}
