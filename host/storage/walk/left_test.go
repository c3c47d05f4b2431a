// SPDX-License-Identifier: MPL-2.0

package walk

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"
)

func storeOf(t *testing.T, keys []string) *countingLister {
	t.Helper()
	inner, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	for _, key := range keys {
		require.NoError(t, inner.Put(t.Context(), &physical.Entry{Key: key}))
	}
	return &countingLister{Backend: inner, keys: slices.Sorted(slices.Values(keys))}
}

func all(string) bool { return true }

// What is left of directories of one size is known as soon as the first one was gone through,
// and of one directory at once. Nothing more is listed for it.
func TestLeftOfEvenDirectories(t *testing.T) {
	t.Parallel()
	var keys []string
	for i := range 40 {
		for j := range 100 {
			keys = append(keys, fmt.Sprintf("logical/%02d/%02d/%03d", i/10, i%10, j))
		}
	}
	store := storeOf(t, keys)
	w, err := New(t.Context(), store, "")
	require.NoError(t, err)
	for read := 0; read < len(keys); {
		group, err := w.Group(t.Context(), all, "")
		require.NoError(t, err)
		taken := (len(group) + 1) / 2
		w.Unread(group[taken:]) // a range may end before a group does
		read += taken
		calls := store.calls
		require.InDelta(t, len(keys)-read, w.Left(all), 1, "after %d", read)
		require.Equal(t, calls, store.calls)
	}
	require.Zero(t, w.Left(all))
}

// Keys that are not wanted are not taken to come, nor are mounts that are left out, nor rows that
// stand beside the content.
func TestLeftOfWhatIsWanted(t *testing.T) {
	t.Parallel()
	var keys []string
	for i := range 20 {
		for j := range 64 {
			keys = append(keys, fmt.Sprintf("logical/a/%02d/%02d", i, j), fmt.Sprintf("logical/b/%02d/%02d", i, j),
				fmt.Sprintf("wal/logs/%02d/%02d", i, j))
		}
	}
	w, err := New(t.Context(), storeOf(t, keys), "")
	require.NoError(t, err)
	odd := func(key string) bool { return !strings.HasPrefix(key, "logical/b/") && key[len(key)-1]%2 == 1 }
	for read := 0; read < 640; read += GroupSize {
		group, err := w.Group(t.Context(), odd, "")
		require.NoError(t, err)
		require.Len(t, group, GroupSize)
		if left := 640 - read - GroupSize; left > 0 {
			require.InDelta(t, left, w.Left(odd), 64)
		}
	}
}

// Whatever the directories are like, and wherever the walk began, it comes out at the end.
func TestLeftEndsAtNothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var keys []string
		for range 200 {
			key := "core"
			for range 1 + rnd.IntN(4) {
				key += fmt.Sprintf("/%d", rnd.IntN(1+rnd.IntN(9)))
			}
			keys = append(keys, key+"k")
		}
		slices.Sort(keys)
		keys = slices.Compact(keys)
		after := []string{"", keys[rnd.IntN(len(keys))]}[rnd.IntN(2)]
		w, err := New(t.Context(), storeOf(t, keys), after)
		require.NoError(t, err)
		for {
			group, err := w.Group(t.Context(), all, "")
			require.NoError(t, err)
			require.Less(t, w.Left(all), uint64(5*len(keys)), seed)
			if len(group) == 0 {
				break
			}
			w.Unread(group[min(len(group), 1+rnd.IntN(GroupSize)):])
		}
		require.Zero(t, w.Left(all), seed)
	}
}
