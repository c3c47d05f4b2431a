// SPDX-License-Identifier: MPL-2.0

package trust_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/enginetest"
	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestRegistrySurvivesACrashInARevocation(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	host := enginetest.NewHost(enginetest.NewNetwork(), "a", "a.test:1")
	a, err := trust.NewAuthority(replication.DR, setID, "", time.Now())
	require.NoError(t, err)
	r, err := trust.LoadRegistry(ctx, host)
	require.NoError(t, err)
	b, serial, err := a.IssueBundle("we st", []string{"a.test:1"}, time.Now())
	require.NoError(t, err)
	require.NoError(t, r.Register(ctx, "we st", serial, time.Now()))

	host.Fail("PutState", replication.Errorf(replication.StorageFailed, "no space"))
	require.Error(t, r.Revoke(ctx, "we st", time.Now()))
	_, err = r.Identify(b.ClientCert)
	require.NoError(t, err, "what was not recorded has not happened")
	host.Fail("PutState", nil)

	host.Fail("DeleteState", replication.Errorf(replication.StorageFailed, "no space"))
	require.NoError(t, r.Revoke(ctx, "we st", time.Now()))
	host.Fail("DeleteState", nil)
	r, err = trust.LoadRegistry(ctx, host)
	require.NoError(t, err)
	require.Empty(t, r.IDs())
	id, err := r.Identify(b.ClientCert)
	require.Equal(t, "we st", id)
	require.ErrorContains(t, err, "was revoked")
	require.Len(t, host.State(), 1, "the registration is gone")
}

// For an id that is used again only the newest certificate counts, also after a crash.
func TestAnIDIsUsedAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	host := enginetest.NewHost(enginetest.NewNetwork(), "a", "a.test:1")
	a, err := trust.NewAuthority(replication.DR, setID, "", time.Now())
	require.NoError(t, err)
	r, err := trust.LoadRegistry(ctx, host)
	require.NoError(t, err)
	var certs [][]byte
	join := func() error {
		b, serial, err := a.IssueBundle("west", []string{"a.test:1"}, time.Now())
		require.NoError(t, err)
		certs = append(certs, b.ClientCert)
		return r.Register(ctx, "west", serial, time.Now())
	}
	onlyLast := func() {
		for i, cert := range certs {
			_, err := r.Identify(cert)
			require.Equal(t, i == len(certs)-1, err == nil, "certificate %d of %d: %v", i, len(certs), err)
		}
	}
	require.NoError(t, join())
	require.NoError(t, join())
	onlyLast()
	require.NoError(t, r.Revoke(ctx, "west", time.Now()))
	require.Empty(t, r.IDs())
	host.Fail("DeleteState", replication.Errorf(replication.StorageFailed, "no space"))
	require.Error(t, join())
	host.Fail("DeleteState", nil)
	for _, cert := range certs {
		_, err := r.Identify(cert)
		require.Error(t, err)
	}
	r, err = trust.LoadRegistry(ctx, host)
	require.NoError(t, err)
	require.Empty(t, r.IDs(), "the refusal wins")
	require.NoError(t, join())
	onlyLast()
	r, err = trust.LoadRegistry(ctx, host)
	require.NoError(t, err)
	onlyLast()
	require.Equal(t, []string{"west"}, r.IDs())
}

func TestAuthorityRecord(t *testing.T) {
	t.Parallel()
	a, err := trust.NewAuthority(replication.Performance, setID, "lb.test:1", time.Now())
	require.NoError(t, err)
	data, err := a.Encode()
	require.NoError(t, err)
	back, err := trust.DecodeAuthority(data)
	require.NoError(t, err)
	require.Equal(t, a.ListenRequest(), back.ListenRequest())
	require.Equal(t, "lb.test:1", back.PrimaryClusterAddr())
	require.Equal(t, replication.Performance, back.Mode())
	require.Equal(t, setID, back.SetID())
	for _, bad := range []string{"", "{}", `{"version":9}`, `{"version":1,"ca_cert":"AAAA"}`} {
		_, err := trust.DecodeAuthority([]byte(bad))
		require.Error(t, err, bad)
	}
}
