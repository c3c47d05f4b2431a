// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const west = "west"

// set is a primary and a DR secondary that has everything, on their disks, with the shares that open them.
type set struct {
	primary, secondary map[string][]byte
	share              []byte
	root               string
	at                 replication.Position
	policies           int
}

func newSet(t *testing.T, k kill) *set {
	t.Helper()
	ctx := t.Context()
	d := newDisk(nil)
	d.rows = map[string][]byte{}
	p := start(t, k, d)
	one := func() *vault.SealConfig {
		return &vault.SealConfig{SecretShares: 1, SecretThreshold: 1, StoredShares: 1}
	}
	made, err := p.core.Initialize(ctx, &vault.InitParams{BarrierConfig: one(), RecoveryConfig: one()})
	require.NoError(t, err)
	s := &set{share: made.SecretShares[0], root: made.RootToken}
	require.True(t, p.opens(s.share))
	r := disabledRecord()
	r.DR = ModeRecord{
		Role: replication.Primary, SetID: "set", Epoch: replication.Epoch{Generation: 1, ID: "e"}, IndexKey: make([]byte, 32),
	}
	raw, err := r.encode()
	require.NoError(t, err)
	require.NoError(t, p.core.PutEntry(ctx, recordKey, raw))
	r.DR.Role, r.DR.SecondaryID, r.DR.Pairing = replication.Secondary, west, make([]byte, 32)
	raw, err = r.encode()
	require.NoError(t, err)
	record, err := p.core.Encrypt(ctx, recordKey, raw)
	require.NoError(t, err)

	p = open(t, k, d.survivor(), s.share)
	require.NoError(t, p.shares.Tell(ctx))
	s.at, err = p.tap.OpenSlot(ctx, replication.DR, west)
	require.NoError(t, err)
	s.primary = p.disk.survivor().rows

	d = newDisk(s.primary)
	for key := range d.rows {
		if strings.HasPrefix(key, "replication/") || strings.HasPrefix(key, "wal/") {
			delete(d.rows, key)
		}
	}
	d.rows[recordKey] = record
	from, to := open(t, k, newDisk(s.primary), s.share), open(t, k, d, s.share)
	require.NoError(t, to.tap.Secondary(replication.DR).BeginCopy(ctx, s.at, nil))
	for after, last := "", false; !last; {
		rng, err := from.tap.ReadRange(ctx, replication.DR, west, after)
		require.NoError(t, err)
		_, err = to.tap.Secondary(replication.DR).ApplyRange(ctx, rng)
		require.NoError(t, err)
		after, last = rng.UpTo, rng.Last
	}
	_, err = to.tap.Secondary(replication.DR).EndCopy(ctx)
	require.NoError(t, err)
	s.secondary = to.disk.survivor().rows
	return s
}

// write writes a policy under the newest key of the primary.
func (s *set) write(p *process) error {
	s.policies++
	return p.request(logical.UpdateOperation, "sys/policy/p"+strconv.Itoa(s.policies), s.root,
		map[string]any{"policy": `path "a" { capabilities = ["read"] }`})
}

// rotate makes a new key of the keyring. rekey makes a new root key with the share fresh; the holders have this share
// before the primary begins to write.
func rotate(p *process, s *set) error {
	return p.request(logical.UpdateOperation, "sys/rotate", s.root, nil)
}

func rekey(p *process, share []byte, began func(fresh []byte)) error {
	if err := p.core.RekeyInit(&vault.SealConfig{SecretShares: 1, SecretThreshold: 1, StoredShares: 1,
		VerificationRequired: true}, false); err != nil {
		return err
	}
	conf, err := p.core.RekeyConfig(false)
	if err != nil {
		return err
	}
	ctx := context.Background()
	result, err := p.core.RekeyUpdate(ctx, slices.Clone(share), conf.Nonce, false)
	if err != nil {
		return err
	}
	began(slices.Clone(result.SecretShares[0]))
	if _, err := p.core.RekeyVerify(ctx, slices.Clone(result.SecretShares[0]), result.VerificationNonce,
		false); err != nil {
		return err
	}
	return nil
}

// frames are what the primary sends to a secondary that has the base.
func (s *set) frames(t *testing.T, p *process) []*replication.Frame {
	t.Helper()
	r, err := p.tap.ReadJournal(t.Context(), replication.DR, west, s.at)
	require.NoError(t, err)
	defer r.Close()
	end, err := p.tap.Position(replication.DR)
	require.NoError(t, err)
	var frames []*replication.Frame
	for at := s.at.Sequence; at < end.Position.Sequence; {
		f, err := r.Next()
		require.NoError(t, err)
		frames = append(frames, f)
		at = f.To.Sequence
	}
	return frames
}

// apply applies frames from where the secondary is.
func (p *process) apply(frames []*replication.Frame) error {
	for _, f := range frames {
		if _, err := p.tap.Secondary(replication.DR).ApplyFrame(context.Background(), f); err != nil {
			return err
		}
	}
	return nil
}

// wants says whether a secondary has to ask for the keys of its primary.
func (p *process) wants(t *testing.T) bool {
	t.Helper()
	held, err := p.ring.Held(t.Context())
	require.NoError(t, err)
	if held {
		return true
	}
	others, err := p.shares.Differ(t.Context())
	require.NoError(t, err)
	return others
}

// asks takes over the keys of a primary, as a secondary does when it cannot follow them.
func (p *process) asks(t *testing.T, m *handover.Material) error {
	t.Helper()
	held, err := p.ring.HeldRows(context.Background())
	if err != nil {
		return err
	}
	return p.taker.takeKeys(context.Background(), replication.DR, m, held)
}

// material is what the primary's host hands over.
func (p *process) material(t *testing.T) *handover.Material {
	t.Helper()
	m, err := handover.Collect(t.Context(), p.core, p.store, replication.DR)
	require.NoError(t, err)
	r := p.roles.Record().DR
	m.SetID, m.Epoch, m.IndexKey = r.SetID, r.Epoch, r.IndexKey
	return m
}

// requireSame checks that a secondary has the primary's content and can read the newest of it, now and after it is
// opened again with one of the shares.
func (s *set) requireSame(t *testing.T, k kill, primary, secondary *process, shares ...[]byte) {
	t.Helper()
	require.Equal(t, primary.replicated(t), secondary.replicated(t))
	held, err := secondary.ring.Held(t.Context())
	require.NoError(t, err)
	require.False(t, held)
	for range 2 {
		plain, err := secondary.core.GetEntry(t.Context(), "sys/policy/p"+strconv.Itoa(s.policies))
		require.NoError(t, err)
		require.NotNil(t, plain)
		secondary = openAny(t, k, secondary.disk.survivor(), shares...)
	}
}

// openAny opens a node with one of the shares.
func openAny(t *testing.T, k kill, d *disk, shares ...[]byte) *process {
	t.Helper()
	p := start(t, k, d)
	require.True(t, slices.ContainsFunc(shares, p.opens), "no share opens it")
	return p
}
