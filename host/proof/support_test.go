// SPDX-License-Identifier: MPL-2.0

package proof_test

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/proof"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/primary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

var (
	epoch    = replication.Epoch{Generation: 3, ID: "e3"}
	indexKey = fingerprint.Key{1, 2, 3}
	relation = proof.Relation{Mode: replication.DR, SetID: "set", SecondaryID: "sec"}
)

// secret has the keys that a primary keeps for a secondary: the pairing key and its own.
type secret struct{ pairing, own []byte }

func newSecret(first byte) secret {
	return secret{append([]byte{first}, make([]byte, proof.KeySize-1)...),
		append([]byte{first, 1}, make([]byte, proof.KeySize-2)...)}
}

func newStorage(t testing.TB) physical.Backend {
	b, err := inmem.NewTransactionalInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	return b
}

func newTap(t testing.TB, inner physical.Backend) *storage.Tap {
	tap := storage.New(inner, storage.Options{AnyPrefix: true})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = tap.Close(ctx)
	})
	return tap
}

func journalOf(e replication.Epoch) primary.Config {
	return primary.Config{Modes: map[replication.Mode]primary.ModeConfig{replication.DR: {Epoch: e,
		IndexKey: indexKey}}}
}

// pair is a primary and a secondary, each a host over real storage, and what passes
// between them.
type pair struct {
	t       *testing.T
	secret  secret
	stored  physical.Backend
	primary *storage.Tap
	to      *proof.Primary

	secondary *storage.Tap
	from      *proof.Secondary
	refusals  int
}

func newPair(t *testing.T) *pair {
	p := &pair{t: t, secret: newSecret(1), stored: newStorage(t)}
	p.primary = newTap(t, p.stored)
	require.NoError(t, p.primary.Activate(t.Context(), journalOf(epoch)))
	p.to = p.say(relation, p.secret)
	inner := newStorage(t)
	p.secondary = newTap(t, inner)
	require.NoError(t, p.secondary.SetGuard(t.Context(),
		storage.Guard{Level: storage.ReadOnly, Modes: []replication.Mode{replication.DR}}))
	require.NoError(t, p.secondary.StartFingerprint(t.Context(), replication.DR, indexKey))
	p.from = p.hear(relation, p.secret)
	return p
}

// say is a primary's side over the primary's storage, hear a secondary's.
func (p *pair) say(r proof.Relation, s secret) *proof.Primary {
	to, err := proof.NewPrimary(p.primary, r, s.pairing, s.own, func(error) { p.refusals++ })
	require.NoError(p.t, err)
	return to
}

func (p *pair) hear(r proof.Relation, s secret) *proof.Secondary {
	from := proof.NewSecondary(p.secondary.Secondary(replication.DR), func(error) { p.refusals++ })
	require.NoError(p.t, from.Pair(r, s.pairing))
	return from
}

func (p *pair) put(key, value string) {
	require.NoError(p.t, p.primary.Backend().Put(p.t.Context(), &physical.Entry{Key: key, Value: []byte(value)}))
}

func (p *pair) delete(key string) {
	require.NoError(p.t, p.primary.Backend().Delete(p.t.Context(), key))
}

// has returns the secondary's value of a key, "" if it has none.
func (p *pair) has(key string) string {
	e, err := p.secondary.Backend().Get(p.t.Context(), key)
	require.NoError(p.t, err)
	if e == nil {
		return ""
	}
	return string(e.Value)
}

func (p *pair) cursor() *replication.Cursor {
	c, err := p.from.Cursor(p.t.Context())
	require.NoError(p.t, err)
	return c
}

func (p *pair) open() *replication.Opening {
	o, err := p.to.OpenSlot(p.t.Context(), p.cursor().Proof)
	require.NoError(p.t, err)
	return o
}

// ranges reads all ranges for a cursor.
func (p *pair) ranges(c *replication.Cursor) (out []*replication.Range) {
	for after := ""; ; {
		r, err := p.to.ReadRange(p.t.Context(), after, c.Proof)
		require.NoError(p.t, err)
		if out = append(out, r); r.Last {
			return out
		}
		after = r.UpTo
	}
}

// copy makes the secondary what its primary is.
func (p *pair) copy() {
	c, err := p.from.BeginCopy(p.t.Context(), *p.open())
	require.NoError(p.t, err)
	for _, r := range p.ranges(c) {
		_, err := p.from.ApplyRange(p.t.Context(), r)
		require.NoError(p.t, err)
	}
	_, err = p.from.EndCopy(p.t.Context())
	require.NoError(p.t, err)
}

// frame returns the frame after a cursor.
func (p *pair) frame(c *replication.Cursor) *replication.Frame {
	r, err := p.to.ReadJournal(p.t.Context(), c.Position, c.Proof)
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, r.Close()) }()
	f, err := r.Next()
	require.NoError(p.t, err)
	return f
}

func (p *pair) apply(f *replication.Frame) {
	_, err := p.from.ApplyFrame(p.t.Context(), f)
	require.NoError(p.t, err)
}

func requireKind(t *testing.T, want replication.Kind, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, replication.KindOf(err), "%v", err)
}
