// SPDX-License-Identifier: MPL-2.0

package proof_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/proof"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// shelf is a storage of both sides that has one of each and counts what is done to it.
type shelf struct {
	proof.Journal
	proof.Content
	cursor  replication.Cursor
	applied int
	payload []byte
}

var at = replication.Position{Epoch: replication.Epoch{Generation: 5, ID: "e"}, Term: 6, Sequence: 7}

func (s *shelf) Position(replication.Mode) (*replication.JournalPosition, error) {
	return &replication.JournalPosition{Position: at, Fingerprint: replication.Fingerprint{8, 9}}, nil
}
func (s *shelf) Filtered(replication.Mode, string) bool       { return false }
func (s *shelf) HistoryLost() bool                            { return false }
func (s *shelf) Given(replication.Mode, replication.Position) {}
func (s *shelf) Close() error                                 { return nil }
func (s *shelf) OpenSlot(context.Context, replication.Mode, string) (replication.Position, error) {
	return at, nil
}

func (s *shelf) AckSlot(context.Context, replication.Mode, string, replication.Position) error {
	s.applied++
	return nil
}

func (s *shelf) ReadJournal(context.Context, replication.Mode, string, replication.Position) (replication.FrameReader,
	error) {
	return s, nil
}

func (s *shelf) Next() (*replication.Frame, error) {
	return &replication.Frame{After: 3, To: at, ConsistentFrom: 4, Payload: s.payload}, nil
}

func (s *shelf) ReadRange(context.Context, replication.Mode, string, string) (*replication.Range, error) {
	return &replication.Range{After: "a", UpTo: "b", Keys: 1, AsOf: 2, Payload: []byte("pairs")}, nil
}

func (s *shelf) Cursor(context.Context) (*replication.Cursor, error) {
	c := s.cursor
	return &c, nil
}

func (s *shelf) BeginCopy(_ context.Context, from replication.Position, given replication.Proof) error {
	s.applied++
	s.cursor = replication.Cursor{Copying: true, CopyFrom: from, Proof: given}
	return nil
}

func (s *shelf) ApplyRange(ctx context.Context, _ *replication.Range) (*replication.Cursor, error) {
	s.applied++
	return s.Cursor(ctx)
}

func (s *shelf) ApplyFrame(ctx context.Context, _ *replication.Frame) (*replication.Cursor, error) {
	s.applied++
	return s.Cursor(ctx)
}

func (s *shelf) Verify(context.Context, replication.Position, replication.Fingerprint) error {
	s.applied++
	return nil
}

// flips calls do once for each field below a struct, and each byte of it, changed.
func flips(t *testing.T, of any, do func(name string)) {
	t.Helper()
	var walk func(name string, v reflect.Value)
	walk = func(name string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(name+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Uint64:
			was := v.Uint()
			v.SetUint(was + 1)
			do(name)
			v.SetUint(was)
		case reflect.String:
			was := v.String()
			v.SetString(was + "x")
			do(name)
			v.SetString(was)
		case reflect.Bool:
			v.SetBool(!v.Bool())
			do(name)
			v.SetBool(!v.Bool())
		case reflect.Slice:
			was := v.Bytes()
			for i := range was {
				was[i] ^= 0x10
				do(fmt.Sprintf("%s[%d]", name, i))
				was[i] ^= 0x10
			}
			for _, other := range [][]byte{nil, was[:len(was)-1], append(slices.Clone(was), 0)} {
				v.SetBytes(other)
				do(fmt.Sprintf("%s of %d bytes", name, len(other)))
			}
			v.SetBytes(was)
		default:
			t.Fatalf("%s is a %s: say how it is changed", name, v.Kind())
		}
	}
	walk("", reflect.ValueOf(of).Elem())
}

// fingerprinted are the arguments of Verify.
type fingerprinted struct {
	At          replication.Position
	Fingerprint replication.Fingerprint
	Proof       replication.Proof
}

// acknowledged are the arguments of AckSlot.
type acknowledged struct {
	At    replication.Position
	Proof replication.Proof
}

// Every field that a plugin can change is proven: one that is added to the contract and
// is not fails here.
func TestEveryFieldIsProven(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := &shelf{payload: []byte("rows"),
		cursor: replication.Cursor{Position: replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "before"},
			Sequence: 1}}}
	key := newSecret(1)
	to, err := proof.NewPrimary(s, relation, key.pairing, key.own, nil)
	require.NoError(t, err)
	from := proof.NewSecondary(s, nil)
	require.NoError(t, from.Pair(relation, key.pairing))
	refused := func(name string, err error) {
		t.Helper()
		require.Equal(t, replication.Denied, replication.KindOf(err), "%s: %v", name, err)
		require.Zero(t, s.applied, name)
	}
	good := func(err error) {
		t.Helper()
		require.NoError(t, err)
		require.Equal(t, 1, s.applied)
		s.applied = 0
	}
	cursor := func() *replication.Cursor {
		c, err := from.Cursor(ctx)
		require.NoError(t, err)
		return c
	}

	opening, err := to.OpenSlot(ctx, cursor().Proof)
	require.NoError(t, err)
	flips(t, opening, func(name string) {
		_, err := from.BeginCopy(ctx, *opening)
		refused("opening"+name, err)
	})
	_, err = from.BeginCopy(ctx, *opening)
	good(err)

	rng, err := to.ReadRange(ctx, "a", cursor().Proof)
	require.NoError(t, err)
	flips(t, rng, func(name string) {
		if name == ".Left" {
			return // an estimate for the status, which the plugin tells in any case; nothing here goes by it
		}
		_, err := from.ApplyRange(ctx, rng)
		refused("range"+name, err)
	})
	_, err = from.ApplyRange(ctx, rng)
	good(err)

	ack := &acknowledged{at, cursor().Proof}
	flips(t, ack, func(name string) { refused("acknowledgement"+name, to.AckSlot(ctx, ack.At, ack.Proof)) })
	good(to.AckSlot(ctx, ack.At, ack.Proof))

	r, err := to.ReadJournal(ctx, at, cursor().Proof)
	require.NoError(t, err)
	frame, err := r.Next()
	require.NoError(t, err)
	flips(t, frame, func(name string) {
		_, err := from.ApplyFrame(ctx, frame)
		refused("frame"+name, err)
	})
	_, err = from.ApplyFrame(ctx, frame)
	good(err)

	now, err := to.Position()
	require.NoError(t, err)
	print := &fingerprinted{now.Position, now.Fingerprint, now.Proof}
	flips(t, print, func(name string) {
		refused("fingerprint"+name, from.Verify(ctx, print.At, print.Fingerprint, print.Proof))
	})
	good(from.Verify(ctx, print.At, print.Fingerprint, print.Proof))
}

// BenchmarkFrame makes and checks a proof.
func BenchmarkFrame(b *testing.B) {
	for _, size := range []int{512, 16 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := &shelf{payload: make([]byte, size)}
			key := newSecret(1)
			to, err := proof.NewPrimary(s, relation, key.pairing, key.own, nil)
			require.NoError(b, err)
			from := proof.NewSecondary(s, nil)
			require.NoError(b, from.Pair(relation, key.pairing))
			s.cursor.Position = at
			c, err := from.Cursor(b.Context())
			require.NoError(b, err)
			r, err := to.ReadJournal(b.Context(), at, c.Proof)
			require.NoError(b, err)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				f, err := r.Next()
				if err == nil {
					_, err = from.ApplyFrame(b.Context(), f)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
