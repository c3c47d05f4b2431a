// SPDX-License-Identifier: MPL-2.0

package filters

import (
	"context"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/filter"
	"github.com/vault-replication/vault-replication/host/internal/role/mounts"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/primary"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const perf = replication.Performance

var epoch = replication.Epoch{Generation: 1, ID: "e"}

// The plugin gets no byte for a secondary of what its paths filter hides: no value and no name of a key, in live
// frames, in rows that are read back, or in a copy. An unfiltered secondary gets everything.
func TestWhatAFilterHidesIsNotGivenToThePlugin(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*filter.Filter{
		"deny":  {Rule: filter.Rule{Mode: filter.Deny, Paths: []string{"hidden/", "auth/hidden/"}}},
		"allow": {Rule: filter.Rule{Mode: filter.Allow, Paths: []string{"shown/", "auth/shown/"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			fs, write := primaryOfTwo(t)
			require.NoError(t, fs.use(t.Context(), "filtered", f))
			from, err := fs.tap.OpenSlot(ctx, perf, "filtered")
			require.NoError(t, err)
			for _, view := range []string{"logical/h/", "logical/s/", "auth/ah/", "auth/as/"} {
				write(view+"a", "VALUE")
			}
			write(Key("other"), "FILTER-OF-OTHER")
			write(Key("filtered"), "FILTER-OF-FILTERED")
			write("sys/policy/p", "POLICY")
			for how, got := range map[string]func(slot string) string{
				"frames": func(slot string) string { return frames(t, fs.tap, slot, from) },
				"ranges": func(slot string) string { return ranges(t, fs.tap, slot) },
			} {
				hidden, all := got("filtered"), got("unfiltered")
				for _, text := range []string{"logical/h/", "auth/ah/", "FILTER-OF-OTHER", Key("other")} {
					require.NotContains(t, hidden, text, how)
					require.Contains(t, all, text, how)
				}
				for _, text := range []string{"logical/s/", "auth/as/", "FILTER-OF-FILTERED", "POLICY"} {
					require.Contains(t, hidden, text, how)
				}
				require.Equal(t, 2, strings.Count(hidden, "VALUE"), how)
				require.Equal(t, 4, strings.Count(all, "VALUE"), how)
			}
		})
	}
}

// primaryOfTwo is a primary of the secondaries "filtered" and "unfiltered".
func primaryOfTwo(t *testing.T) (fs *Filters, write func(key, value string)) {
	t.Helper()
	inner, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	tap := storage.New(inner, storage.Options{})
	known := mounts.New(nil, tap, func() bool { return false }, hclog.NewNullLogger())
	fs = New(replication.Performance, nil, tap, known, nil)
	t.Cleanup(func() { _ = fs.tap.Close(context.Background()) })
	for table := range keyclass.Tables {
		var known []vaultname.Mount
		switch table {
		case "core/mounts":
			known = []vaultname.Mount{{UUID: "h", Path: "hidden/", Type: "kv"}, {UUID: "s", Path: "shown/", Type: "kv"}}
		case "core/auth":
			known = []vaultname.Mount{{UUID: "ah", Path: "auth/hidden/", Type: "userpass"},
				{UUID: "as", Path: "auth/shown/", Type: "userpass"}}
		}
		_, err := fs.mounts.SetTable(table, known)
		require.NoError(t, err)
	}
	require.NoError(t, fs.tap.Activate(t.Context(),
		primary.Config{Modes: map[replication.Mode]primary.ModeConfig{perf: {Epoch: epoch,
			IndexKey: fingerprint.Key{1}}}}))
	_, err = fs.tap.OpenSlot(t.Context(), perf, "unfiltered")
	require.NoError(t, err)
	return fs, func(key, value string) {
		t.Helper()
		require.NoError(t, fs.tap.Backend().Put(t.Context(), &physical.Entry{Key: key, Value: []byte(value)}))
	}
}

func frames(t *testing.T, tap *storage.Tap, slot string, after replication.Position) string {
	t.Helper()
	at, err := tap.Position(perf)
	require.NoError(t, err)
	r, err := tap.ReadJournal(t.Context(), perf, slot, after)
	require.NoError(t, err)
	defer r.Close()
	var out strings.Builder
	for after.Sequence < at.Position.Sequence {
		f, err := r.Next()
		require.NoError(t, err)
		out.Write(f.Payload)
		after = f.To
	}
	return out.String()
}

func ranges(t *testing.T, tap *storage.Tap, slot string) string {
	t.Helper()
	var out strings.Builder
	for after, more := "", true; more; {
		r, err := tap.ReadRange(t.Context(), perf, slot, after)
		require.NoError(t, err)
		out.Write(r.Payload)
		out.WriteString(r.UpTo)
		after, more = r.UpTo, !r.Last
	}
	return out.String()
}
