// SPDX-License-Identifier: MPL-2.0

package endpoints

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func TestKept(t *testing.T) {
	t.Parallel()
	f := decorated(t, replication.Primary)
	resp, _, err := f.update(t, "replication/kept/list", nil)
	require.NoError(t, err)
	require.Equal(t, "dr-1", resp.Data["kept"].([]map[string]any)[0]["id"])
	require.Equal(t, []map[string]any{{"mode": "dr", "exact": true, "values": 1,
		"places": []map[string]any{{"place": "kv/", "values": 1}}}}, resp.Data["not_kept"])

	resp, _, err = f.update(t, "replication/kept/read", map[string]any{"id": "dr-1"})
	require.NoError(t, err)
	entries := resp.Data["entries"].([]map[string]any)
	require.Len(t, entries, 3)
	require.Equal(t, map[string]any{"v": "1"}, entries[0]["content"])
	require.Equal(t, true, entries[1]["deleted"])
	require.Equal(t, []any{map[string]any{"v": "twenty bytes"}}, entries[2]["content"], "the JSON in a field of a message")
	resp, _, err = f.update(t, "replication/kept/read", map[string]any{"id": "dr-1", "offset": 1, "limit": 1})
	require.NoError(t, err)
	require.Equal(t, "logical/u/b", resp.Data["entries"].([]map[string]any)[0]["key"])
	for _, bad := range []map[string]any{{"offset": -1}, {"limit": 0}, {"limit": 1001}} {
		bad["id"] = "dr-1"
		_, status, err := f.update(t, "replication/kept/read", bad)
		require.Equal(t, 400, status)
		require.ErrorContains(t, err, "offset has to be 0 or more, and limit from 1 to 1000")
	}
	_, status, err := f.update(t, "replication/kept/read", map[string]any{"id": "dr-2"})
	require.Equal(t, 404, status)
	require.Error(t, err)
	_, _, err = f.update(t, "replication/kept/remove", map[string]any{"id": "dr-1"})
	require.NoError(t, err)
	require.Equal(t, []string{"remove-dr-1"}, f.controller.calls)
}

// A DR secondary has no tokens of its own: there they take a DR operation token.
func TestKeptOfADRSecondaryNeedsItsToken(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"list", "read", "remove"} {
		f := decorated(t, replication.Secondary)
		path = "replication/dr/secondary/kept/" + path
		_, status, err := f.update(t, path, map[string]any{"id": "dr-1", "dr_operation_token": "dro.bad"})
		require.Equal(t, 403, status, path)
		require.Error(t, err)
		require.Empty(t, f.controller.calls)
		_, _, err = f.update(t, path, map[string]any{"id": "dr-1", "dr_operation_token": "dro.good"})
		require.NoError(t, err)
	}
}

func TestContentOfAValue(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]any{"a": 1.0}, content([]byte(`{"a":1}`)))
	require.Equal(t, []any{"text"}, content([]byte{0x0a, 4, 't', 'e', 'x', 't', 0x10, 1, 0x1a, 2, 0, 1}))
	for _, none := range [][]byte{nil, {0xff, 0xff}, {0x0a, 9, 1}, {0x08, 1}} {
		require.Nil(t, content(none))
	}
}

// The flag reaches whoever decides.
func TestKeepOwnWrites(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		f := decorated(t, replication.Disabled)
		_, _, err := f.update(t, "replication/performance/secondary/enable",
			map[string]any{"token": "t", "keep_own_writes": keep})
		require.NoError(t, err)
		require.Equal(t, keep, f.controller.keep)
		f = decorated(t, replication.Secondary)
		_, _, err = f.update(t, "replication/dr/secondary/update-primary",
			map[string]any{"token": "t", "keep_own_writes": keep, "dr_operation_token": "dro.good"})
		require.NoError(t, err)
		require.Equal(t, keep, f.controller.update.Keep)
	}
}
