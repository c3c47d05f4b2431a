// SPDX-License-Identifier: MPL-2.0

package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// The record of a plugin: it is that plugin's, never a built-in one, and the same again.
func FuzzDecodeEntry(f *testing.F) {
	const name = "replication-dr"
	text, err := (&Entry{
		Name: name, Mode: replication.DR, Command: "dr-2", SHA256: strings.Repeat("0a", 32),
		Args: []string{"-v", "\xff"}, Env: []string{"A=b"}, Version: "2",
	}).encode()
	require.NoError(f, err)
	corpus.Add(f, text, []byte(`{"name":"replication-dr","builtin":true}`), []byte(`{"name":"other"}`))
	f.Add([]byte(`{"name":"replication-dr","version":"` + strings.Repeat("x", recordMax) + `"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := decodeEntry(name, text)
		if err != nil {
			require.Equal(t, replication.Internal, replication.KindOf(err))
			return
		}
		require.LessOrEqual(t, len(text), recordMax)
		require.Equal(t, name, e.Name)
		require.False(t, e.Builtin)
		if e.check() == nil {
			require.NotContains(t, e.Command, "/")
			require.Len(t, e.SHA256, 64)
		}
		again, err := e.encode()
		if err != nil {
			return // with its quotes escaped it has become too long
		}
		same, err := decodeEntry(name, again)
		require.NoError(t, err)
		require.Equal(t, len(e.Args), len(same.Args))
		require.Equal(t, e.Command, same.Command)
		require.Equal(t, e.check() == nil, same.check() == nil)
	})
}
