// SPDX-License-Identifier: MPL-2.0

package walk

import (
	"context"
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

// countingLister counts the keys that ordered storage goes through for a listing.
type countingLister struct {
	physical.Backend
	keys  []string
	seen  int
	calls int
}

func (c *countingLister) List(ctx context.Context, prefix string) ([]string, error) {
	i, _ := slices.BinarySearch(c.keys, prefix)
	for ; i < len(c.keys) && strings.HasPrefix(c.keys[i], prefix); i++ {
		c.seen++
	}
	c.calls++
	return c.Backend.List(ctx, prefix)
}

// A walk between two keys finds the same keys as a walk that lists every directory, whatever the names are.
func TestWalkBetween(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		inner, err := inmem.NewInmem(nil, hclog.NewNullLogger())
		require.NoError(t, err)
		letters := []string{"a", "b", "-", "0", "/", "/", "é", "\xff", "\x01", "z"}
		random := func() string {
			var b strings.Builder
			b.WriteString([]string{"logical/", "core/", "auth/x/", ""}[rnd.IntN(4)])
			for range 1 + rnd.IntN(5) {
				b.WriteString(letters[rnd.IntN(len(letters))])
			}
			return b.String()
		}
		var keys []string
		for range rnd.IntN(60) {
			key := random()
			if strings.HasSuffix(key, "/") || strings.HasPrefix(key, "/") || strings.Contains(key, "//") {
				continue
			}
			keys = append(keys, key)
			require.NoError(t, inner.Put(t.Context(), &physical.Entry{Key: key, Value: []byte("x")}))
		}
		between := func(w *Walk, err error, upTo string) (all []string) {
			require.NoError(t, err)
			for {
				found, err := w.Group(t.Context(), func(string) bool { return true }, upTo)
				require.NoError(t, err)
				if len(found) == 0 {
					return all
				}
				all = append(all, found...)
			}
		}
		l := NewListing(inner, true)
		for range 40 {
			after, upTo := random(), random()
			if len(keys) > 1 && rnd.IntN(2) == 0 {
				after, upTo = keys[rnd.IntN(len(keys))], keys[rnd.IntN(len(keys))]
			}
			w, err := New(t.Context(), inner, after)
			want := between(w, err, upTo)
			w, err = Between(t.Context(), l, after, upTo, new(int))
			require.Equal(t, want, between(w, err, upTo), "seed %d: of %q between %q and %q", seed, keys, after, upTo)
		}
	}
}

// In a large directory, and in those above it, the walk goes only through what may lie between the two keys, unless
// listing all is cheaper.
func TestWalkBetweenListsLittle(t *testing.T) {
	t.Parallel()
	inner, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	const names = 30_000
	c := &countingLister{Backend: inner}
	for i := range names {
		c.keys = append(c.keys, fmt.Sprintf("logical/uuid/%05d", i))
	}
	c.keys = append(c.keys, "logical/uvid/a", "sys/x")
	for _, key := range c.keys {
		require.NoError(t, inner.Put(t.Context(), &physical.Entry{Key: key, Value: []byte("x")}))
	}
	l := NewListing(c, true)
	look := func(after, upTo string, found, most int) {
		t.Helper()
		seen, calls := c.seen, c.calls
		w, err := Between(t.Context(), l, after, upTo, new(int))
		require.NoError(t, err)
		keys, err := w.Group(t.Context(), func(string) bool { return true }, upTo)
		require.NoError(t, err)
		require.Len(t, keys, found)
		require.LessOrEqual(t, c.seen-seen, most)
		require.LessOrEqual(t, c.calls-calls, 6000)
	}
	at := func(i int) string { return c.keys[i] }
	look(at(12_345), at(12_377), 32, 100)
	look(at(12_350), at(12_376), 26, 100)
	look("", at(20), 21, 100)                     // the first
	look(at(names-10), "logical/uvid/x", 10, 100) // the last of a mount
	look("core/x", at(7), 8, 100)                 // from before the directory
	look(at(9_990), at(10_010), 20, 20_000)       // the first digit differs: two of ten
	// What the other side names may be of any length.
	for _, length := range []int{betweenLength, 40_000} {
		l = NewListing(c, true)
		endless := strings.Repeat("1", length)
		calls := c.calls
		spent := 0
		w, err := Between(t.Context(), l, "logical/uuid/"+endless, "logical/uuid/2/"+endless, &spent)
		require.NoError(t, err)
		key, ok, err := w.next(t.Context())
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, at(11_112), key)
		require.LessOrEqual(t, c.calls-calls, betweenCalls+10)
		require.InDelta(t, c.calls-calls, spent, 10, "whoever asks is told")
	}
	l = NewListing(c, true)
	l.parts["logical/uuid/"] = betweenNames + 1
	look(at(15_000), at(15_600), GroupSize, names)
	look(at(22_345), at(22_377), 32, 0) // it is known by now
}
