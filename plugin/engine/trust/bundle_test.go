// SPDX-License-Identifier: MPL-2.0

package trust_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const setID = "9a5d1a52-7a1c-4d0e-9f3b-0d6e4e7e2b11"

func issue(t testing.TB, set, id string) *trust.Bundle {
	a, err := trust.NewAuthority(replication.DR, set, "", time.Now())
	require.NoError(t, err)
	b, _, err := a.IssueBundle(id, []string{"https://a.test:8201"}, time.Now())
	require.NoError(t, err)
	return b
}

func encode(t testing.TB, b *trust.Bundle) []byte {
	data, err := b.Encode()
	require.NoError(t, err)
	return data
}

func TestBundleThatIsNotWhole(t *testing.T) {
	t.Parallel()
	good, other := issue(t, setID, "sec"), issue(t, setID, "sec")
	for name, c := range map[string]struct {
		change func(b *trust.Bundle)
		want   string
	}{
		"version":           {func(b *trust.Bundle) { b.Version = 2 }, "version 2"},
		"mode":              {func(b *trust.Bundle) { b.Mode = "both" }, "mode is unknown"},
		"set":               {func(b *trust.Bundle) { b.SetID = "x" }, "set has no valid id"},
		"id":                {func(b *trust.Bundle) { b.SecondaryID = "a/b" }, "no valid id"},
		"another id":        {func(b *trust.Bundle) { b.SecondaryID = "other" }, "for another secondary"},
		"no address":        {func(b *trust.Bundle) { b.Addresses = nil }, "0 addresses"},
		"bad address":       {func(b *trust.Bundle) { b.Addresses = []string{"http://a.test:80"} }, "that is none"},
		"many addresses":    {func(b *trust.Bundle) { b.Addresses = make([]string, 1000) }, "1000 addresses"},
		"another authority": {func(b *trust.Bundle) { b.CACert = other.CACert }, "did not sign"},
		"no authority":      {func(b *trust.Bundle) { b.CACert = b.ClientCert }, "no certificate of an authority"},
		"another key":       {func(b *trust.Bundle) { b.ClientKey = other.ClientKey }, "does not belong"},
		"no key":            {func(b *trust.Bundle) { b.ClientKey = nil }, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := *good
			c.change(&b)
			_, err := trust.DecodeBundle(encode(t, &b), time.Now())
			require.ErrorContains(t, err, c.want)
			require.Equal(t, replication.InvalidInput, replication.KindOf(err))
		})
	}
}

func TestBundleFormatIsStrict(t *testing.T) {
	t.Parallel()
	data := encode(t, issue(t, setID, "sec"))
	_, err := trust.DecodeBundle(data, time.Now())
	require.NoError(t, err)
	for name, bad := range map[string][]byte{
		"empty":     nil,
		"not JSON":  []byte("hvs.token"),
		"trailing":  append(bytes.Clone(data), "{}"...),
		"unknown":   bytes.Replace(data, []byte(`{"version"`), []byte(`{"role":"primary","version"`), 1),
		"too large": append(bytes.Clone(data), bytes.Repeat([]byte(" "), trust.BundleMax)...),
	} {
		_, err := trust.DecodeBundle(bad, time.Now())
		require.Error(t, err, name)
		require.Equal(t, replication.InvalidInput, replication.KindOf(err), name)
		require.NotContains(t, err.Error(), "client_key", name)
	}
}

func TestClockOfAStoredBundleIsNotAsked(t *testing.T) {
	t.Parallel()
	data := encode(t, issue(t, setID, "sec"))
	past := time.Now().Add(-100 * 365 * 24 * time.Hour)
	_, err := trust.DecodeBundle(data, past)
	require.ErrorContains(t, err, "not in force")
	_, err = trust.DecodeBundle(data, time.Now().Add(-time.Hour))
	require.NoError(t, err, "a clock that is an hour behind")
	_, err = trust.DecodeStoredBundle(data)
	require.NoError(t, err)
}

func TestIDs(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", "dr west 1", strings.Repeat("x", 128), "..", "%2F", `"`} {
		require.NoError(t, trust.CheckID(id), id)
	}
	for _, id := range []string{"", strings.Repeat("x", 129), "a/b", " a", "a ", "a\n", "ä", "a\x00"} {
		require.Error(t, trust.CheckID(id), id)
	}
}

func FuzzDecodeBundle(f *testing.F) {
	data := encode(f, issue(f, setID, "sec"))
	corpus.Add(f, data, []byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := trust.DecodeBundle(data, time.Now())
		if err != nil {
			if replication.KindOf(err) != replication.InvalidInput {
				t.Fatalf("kind %d: %v", replication.KindOf(err), err)
			}
			return
		}
		// What is accepted stays accepted when it is stored.
		again, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trust.DecodeStoredBundle(again); err != nil {
			t.Fatal(err)
		}
	})
}
