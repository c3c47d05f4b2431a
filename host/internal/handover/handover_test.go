// SPDX-License-Identifier: MPL-2.0

package handover

import (
	"bytes"
	"context"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/shamir"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// cluster is an unsealed core with its storage and key shares.
type cluster struct {
	core   *vaultcore.Core
	store  physical.Backend
	shares [][]byte
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	raw := vault.TestCore(t)
	core, err := vaultcore.Attach(raw)
	require.NoError(t, err)
	c := &cluster{core: core}
	core.InstallStorage(func(inner physical.Backend) physical.Backend {
		c.store = onestep.Over(inner, false)
		c.store.(*onestep.Store).SetKey(func() ([]byte, error) { return []byte("a key of the test"), nil })
		return c.store
	})
	c.shares, _ = vault.TestCoreInit(t, raw)
	for _, s := range c.shares {
		_, err := vault.TestCoreUnseal(raw, vault.TestKeyCopy(s))
		require.NoError(t, err)
	}
	return c
}

func (c *cluster) material(t *testing.T) *Material {
	t.Helper()
	m, err := Collect(context.Background(), c.core, c.store, replication.DR)
	require.NoError(t, err)
	m.SetID, m.Epoch = "set", replication.Epoch{Generation: 1, ID: "e"}
	m.IndexKey = NewKey()
	return m
}

func combined(t *testing.T, shares [][]byte) []byte {
	t.Helper()
	key, err := shamir.Combine(shares)
	require.NoError(t, err)
	return key
}

func binding() Binding {
	return Binding{Mode: replication.DR, SetID: "set", SecondaryID: "b", Challenge: NewKey()}
}

func TestSealedMaterialIsBound(t *testing.T) {
	t.Parallel()
	m := &Material{
		SetID: "set", Epoch: replication.Epoch{Generation: 1, ID: "e"}, IndexKey: make([]byte, 32), RootKey: []byte("root"),
		Rows: map[string][]byte{"core/keyring": []byte("k")},
	}
	pairing := NewKey()
	b := binding()
	sealed, err := Seal(pairing, b, m)
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "root")
	got, err := Open(pairing, b, sealed)
	require.NoError(t, err)
	require.Equal(t, m, got)

	wrong := map[string]func() error{
		"another pairing key": func() error { _, err := Open(NewKey(), b, sealed); return err },
		"another challenge": func() error {
			b := b
			b.Challenge = NewKey()
			_, err := Open(pairing, b, sealed)
			return err
		},
		"another secondary": func() error { b := b; b.SecondaryID = "c"; _, err := Open(pairing, b, sealed); return err },
		"another set":       func() error { b := b; b.SetID = "other"; _, err := Open(pairing, b, sealed); return err },
		"another mode": func() error {
			b := b
			b.Mode = replication.Performance
			_, err := Open(pairing, b, sealed)
			return err
		},
		"truncated": func() error { _, err := Open(pairing, b, sealed[:len(sealed)-1]); return err },
		"empty":     func() error { _, err := Open(pairing, b, nil); return err },
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		_, err := Open(pairing, b, changed)
		require.Error(t, err, "byte %d", i)
	}
	for name, open := range wrong {
		require.Error(t, open(), name)
	}
}

func TestMaterialIsChecked(t *testing.T) {
	t.Parallel()
	good := func() *Material {
		return &Material{
			SetID: "set", Epoch: replication.Epoch{Generation: 1, ID: "e"}, IndexKey: make([]byte, 32), RootKey: []byte("root"),
			Rows: map[string][]byte{"core/keyring": []byte("k")},
		}
	}
	for name, spoil := range map[string]func(*Material){
		"no root key": func(m *Material) { m.RootKey = nil },
		"no keyring":  func(m *Material) { m.Rows = nil },
		"no set":      func(m *Material) { m.SetID = "" },
		"no epoch":    func(m *Material) { m.Epoch = replication.Epoch{} },
		"short key":   func(m *Material) { m.IndexKey = m.IndexKey[1:] },
		"own row":     func(m *Material) { m.Rows["core/raft/tls"] = []byte("x") },
		"no shares":   func(m *Material) { m.ShareConfig = ShareConfig{3, 2} },
	} {
		m := good()
		spoil(m)
		raw, err := m.encode()
		require.NoError(t, err)
		_, err = decode(raw)
		require.Error(t, err, name)
	}
	_, err := decode([]byte(`{"Version":2,"Later":1}`))
	require.ErrorContains(t, err, "has version 2, and this build knows version 1: upgrade the secondary first")
	m := good()
	store, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	ctx := context.Background()
	require.NoError(t, m.AddFilter(ctx, store, "core/replication-filters/62"))
	require.Len(t, m.Rows, 1, "most secondaries have no filter")
	require.NoError(t, store.Put(ctx, &physical.Entry{Key: "core/replication-filters/62", Value: []byte("f")}))
	require.NoError(t, m.AddFilter(ctx, store, "core/replication-filters/62"))
	raw, err := m.encode()
	require.NoError(t, err)
	m, err = decode(raw)
	require.NoError(t, err)
	require.Equal(t, []byte("f"), m.Rows["core/replication-filters/62"])
}

// After the adoption the secondary is opened by the primary's shares, cold too,
// and its own records are readable under the new keyring.
func TestAdoption(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := newCluster(t), newCluster(t)
	info, err := b.core.GetEntry(ctx, "core/cluster/local/info")
	require.NoError(t, err)
	require.NotNil(t, info)

	require.Error(t, b.core.VerifyShares(ctx, combined(t, a.shares)))
	adoption, err := Prepare(ctx, b.core, b.store, a.material(t), map[string][]byte{"core/replication/role": []byte("r")},
		hclog.NewNullLogger())
	require.NoError(t, err)
	require.NoError(t, b.core.VerifyShares(ctx, combined(t, b.shares)), "preparing must change nothing")

	b.core.OnBarrierOpen(func(ctx context.Context) error {
		b.core.SetReplicationState(consts.ReplicationDRSecondary | consts.ReplicationPerformanceDisabled)
		return b.core.SetInertBackends(ctx, true)
	})
	require.NoError(t, b.core.Restart(ctx, func(ctx context.Context) ([]byte, error) {
		if err := onestep.Write(ctx, b.store, adoption.Rows); err != nil {
			return nil, err
		}
		return adoption.RootKey, adoption.Take(ctx, b.core)
	}))
	require.False(t, b.core.Sealed())
	require.NoError(t, b.core.VerifyShares(ctx, combined(t, a.shares)))
	require.Error(t, b.core.VerifyShares(ctx, combined(t, b.shares)), "the old shares are void")
	after, err := b.core.GetEntry(ctx, "core/cluster/local/info")
	require.NoError(t, err)
	require.Equal(t, info, after, "the cluster keeps its identity")
	record, err := b.core.GetEntry(ctx, "core/replication/role")
	require.NoError(t, err)
	require.Equal(t, "r", string(record))

	// Cold: sealed and opened with the primary's shares.
	require.NoError(t, vault.TestCoreSeal(b.core.Core))
	for _, s := range a.shares {
		_, err := vault.TestCoreUnseal(b.core.Core, vault.TestKeyCopy(s))
		require.NoError(t, err)
	}
	require.False(t, b.core.Sealed())
}

func TestAdoptionRefusesAWrongRootKey(t *testing.T) {
	t.Parallel()
	a, b := newCluster(t), newCluster(t)
	m := a.material(t)
	m.RootKey = make([]byte, 32)
	_, err := Prepare(context.Background(), b.core, b.store, m, nil, hclog.NewNullLogger())
	require.ErrorContains(t, err, "does not open its keyring")
}
