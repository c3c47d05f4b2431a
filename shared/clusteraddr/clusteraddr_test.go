// SPDX-License-Identifier: MPL-2.0

package clusteraddr_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/clusteraddr"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://a:1":            "a:1",
		"https://a.test:8201/":   "a.test:8201",
		"https://a.example:8201": "a.example:8201",
		"127.0.0.1:8201":         "127.0.0.1:8201",
		"[::1]:8201":             "[::1]:8201",
		"https://[::1]:8201":     "[::1]:8201",
	} {
		got, err := clusteraddr.HostPort(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for _, in := range []string{
		"", "a", "https://a", "https://", "http://a:1", "https://a:0", "a:70000", "a:https", "a:b:c", "https://u@a:1",
		"https://a:1/x",
		"https://a:1?x", "a:1\n", "a b:1", ":1", "a:", "a:-1", strings.Repeat("a", 600) + ":1", "ä:1",
	} {
		err := clusteraddr.Check(in)
		require.Equal(t, replication.InvalidInput, replication.KindOf(err), "%q", in)
		require.Less(t, len(err.Error()), 1000)
	}
}
