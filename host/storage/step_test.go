// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	part "github.com/vault-replication/vault-replication/host/storage/secondary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	perfRole  = "core/replication/performance/role"
	perfState = "core/replication/performance/state/authority"
)

// A DR primary becomes a performance primary and then gives up that role. Both sides still count what they have, so
// nothing is compared.
func TestRowsOfARoleAreCounted(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		primary, secondary := twins(t, inner, 50)
		for _, rows := range [][]onestep.Row{
			{{Key: "core/replication/role", Value: []byte("primary")}, {Key: perfRole, Value: []byte("role")},
				{Key: perfState, Value: []byte("authority")}},
			{{Key: "core/replication/role", Value: []byte("none")}, {Key: perfRole}, {Key: perfState}},
		} {
			require.NoError(t, primary.Step(ctx, rows))
			follow(t, primary, secondary, dr, "s", watermark(t, primary).Sequence)
			require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
			requireRoot(t, primary)
			requireRoot(t, secondary)
			for range 2 * part.DifferencesMax {
				_, err := verifyAt(t, primary, secondary)
				require.NoError(t, err)
			}
			require.Zero(t, secondary.Secondary(dr).Differences())
		}
	})
}

// A step of a sealed core reaches DR secondaries with the next journal, once, even if the process ends in between.
func TestStepOfASealedCoreIsOwed(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, inner physical.Backend) {
		ctx := testContext(t)
		primary, secondary := twins(t, inner, 50)
		put(t, primary, perfState, "former")
		require.NoError(t, primary.Close(ctx))
		require.NoError(t, primary.Step(ctx, []onestep.Row{{Key: perfRole, Value: []byte("role")}, {Key: perfState}}))
		primary = newTap(t, inner) // the process was killed
		require.NoError(t, primary.Step(ctx, []onestep.Row{{Key: "core/keyring", Value: []byte("keys")}}))
		require.NoError(t, primary.Activate(ctx, config(dr)))
		first := watermark(t, primary)
		follow(t, primary, secondary, dr, "s", first.Sequence)
		require.Equal(t, content(t, primary, dr), content(t, secondary, dr))
		require.Equal(t, "role", get(t, secondary.Inner(), perfRole))
		require.Equal(t, "<none>", get(t, secondary.Inner(), perfState))
		require.Equal(t, fingerprintOf(t, primary, dr), fingerprintOf(t, secondary, dr))
		require.NoError(t, primary.Close(ctx))
		newPrimary(t, inner)
		require.Equal(t, "<none>", get(t, inner, "replication/journal/owed"))
	})
}

// A step of a sealed core makes only those parts of the stored index invalid that have its keys. A step that changes
// nothing that counts makes none invalid.
func TestStepKeepsTheRestOfTheStoredIndex(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rows []onestep.Row
		all  bool
	}{
		"its own record":          {[]onestep.Row{{Key: "core/replication/role", Value: []byte("r")}}, true},
		"nothing that was there":  {[]onestep.Row{{Key: perfRole}}, true},
		"what is there already":   {[]onestep.Row{{Key: perfState, Value: []byte("there")}}, true},
		"a row is written":        {[]onestep.Row{{Key: perfRole, Value: []byte("r")}}, false},
		"a row is deleted":        {[]onestep.Row{{Key: perfState}}, false},
		"a row is written anew":   {[]onestep.Row{{Key: perfState, Value: []byte("new")}}, false},
		"the same key two times":  {[]onestep.Row{{Key: perfState}, {Key: perfState, Value: []byte("there")}}, true},
		"the first of the blocks": {[]onestep.Row{{Key: "a", Value: []byte("r")}}, false},
		"the last of the blocks":  {[]onestep.Row{{Key: "z", Value: []byte("r")}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			inner := newTxn(t)
			fillInner(t, inner, manyKeys)
			putInner(t, inner, perfState, "there")
			tap := newPrimary(t, inner)
			fingerprintOf(t, tap, dr)
			require.NoError(t, tap.Close(ctx))
			require.NoError(t, tap.Step(ctx, tc.rows))
			tap = newPrimary(t, inner)
			fingerprintOf(t, tap, dr)
			requireRoot(t, tap)
			read := tap.Indexes().State(dr).Read
			if tc.all {
				require.Zero(t, read)
			} else {
				require.Positive(t, read)
				require.Less(t, read, uint64(2*manyKeys/3), "more was read than the part that was changed")
			}
		})
	}
}

// A change of role while an index runs keeps the index and its stored rows.
func TestLiveStepKeepsTheIndex(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	inner := newTxn(t)
	fillInner(t, inner, manyKeys)
	tap := newPrimary(t, inner)
	fingerprintOf(t, tap, dr)
	tap.Indexes().Store(ctx)
	require.NoError(t, tap.Step(ctx, []onestep.Row{{Key: perfRole, Value: []byte("r")}}))
	put(t, tap, key(1), "x")
	require.NoError(t, tap.Close(ctx))
	tap = newPrimary(t, inner)
	fingerprintOf(t, tap, dr)
	requireRoot(t, tap)
	require.Zero(t, tap.Indexes().State(dr).Read, "the end was clean, and all was stored")
}

// clusterOfRoles is one whose roles change.
type clusterOfRoles struct {
	t        *testing.T
	rnd      *rand.Rand
	inner    physical.Backend
	tap      *storage.Tap
	roles    map[replication.Mode]replication.Role
	follower *storage.Tap // a DR secondary of it, nil while it is no DR primary
	log      []string
}

// A cluster takes roles of both modes one after the other, running, sealed or killed, with writes in between. Its
// indexes have exactly what its storage has, and so has its DR secondary.
func TestRolesAndIndexes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := &clusterOfRoles{t: t, rnd: rand.New(rand.NewPCG(seed, 7)), roles: map[replication.Mode]replication.Role{}}
			keys := 700
			switch seed % 4 {
			case 0:
				c.inner = newFile(t)
			case 1:
				c.inner = newInmem(t)
			default:
				c.inner, keys = newTxn(t), manyKeys
			}
			fillInner(t, c.inner, keys)
			for i := range 200 {
				putInner(t, c.inner, fmt.Sprintf("logical/kv/%d", i), "v")
			}
			defer func() {
				if t.Failed() {
					t.Log(strings.Join(c.log, "\n"))
				}
			}()
			c.open()
			for range 30 {
				c.change()
				c.write(c.rnd.IntN(6))
				c.check()
			}
		})
	}
}

func (c *clusterOfRoles) open() {
	c.tap = newTap(c.t, c.inner, func(o *storage.Options) { o.StoreAfter = time.Duration(1 + c.rnd.IntN(40_000_000)) })
	withMounts(c.t, c.tap).SetLocalPrefixes("ext", []string{"here/"})
	c.begin()
}

// begin is what the host does at the start of each term and after each live change.
func (c *clusterOfRoles) begin() {
	ctx := testContext(c.t)
	var primary []replication.Mode
	for _, m := range []replication.Mode{dr, perf} {
		if c.roles[m] == replication.Primary {
			primary = append(primary, m)
		}
	}
	if len(primary) > 0 {
		require.NoError(c.t, c.tap.Activate(ctx, config(primary...)))
	} else {
		require.NoError(c.t, c.tap.Deactivate(ctx))
	}
	for _, m := range []replication.Mode{dr, perf} {
		switch c.roles[m] {
		case replication.Secondary:
			require.NoError(c.t, c.tap.StartFingerprint(ctx, m, indexKey))
		case replication.Primary:
		default:
			require.NoError(c.t, c.tap.Forget(ctx, m))
		}
	}
}

// rows are those of a change.
func (c *clusterOfRoles) rows() (rows []onestep.Row) {
	at, err := part.CursorAt(perf, replication.Position{Epoch: epoch, Sequence: c.rnd.Uint64N(50)})
	require.NoError(c.t, err)
	for key, value := range map[string][]byte{
		"core/replication/role": []byte("r"), "core/hsm/barrier-unseal-keys": []byte("k"), "core/keyring": []byte("ring"),
		perfRole:  []byte("p"),
		perfState: []byte("s"), "core/replication/performance/pairing/77": []byte("key"), at.Key: at.Value,
		"core/wrapping/jwtkey": []byte("t"),
	} {
		switch c.rnd.IntN(3) {
		case 0:
			if key != at.Key {
				value = fmt.Appendf(value, "%d", c.rnd.IntN(3))
			}
			rows = append(rows, onestep.Row{Key: key, Value: value})
		case 1:
			rows = append(rows, onestep.Row{Key: key})
		}
	}
	return rows
}

func (c *clusterOfRoles) change() {
	ctx := testContext(c.t)
	mode := []replication.Mode{dr, perf}[c.rnd.IntN(2)]
	was := c.roles[mode]
	to := []replication.Role{replication.Disabled, replication.Primary, replication.Secondary}[c.rnd.IntN(3)]
	if mode == perf && c.roles[dr] == replication.Secondary {
		return
	}
	live := was != replication.Secondary && to != replication.Secondary || was == to && c.rnd.IntN(2) == 0
	killed := c.rnd.IntN(4) == 0
	c.log = append(c.log, fmt.Sprintf("%s: %s to %s, live %t, killed %t", mode, was, to, live, killed))
	if !live {
		if killed {
			require.NoError(c.t, c.tap.Abandon(ctx))
		}
		require.NoError(c.t, c.tap.Close(ctx))
	}
	require.NoError(c.t, c.tap.Step(ctx, c.rows()))
	c.roles[mode] = to
	if mode == dr && to == replication.Secondary {
		c.roles[perf] = replication.Disabled
	}
	if mode == dr && to != replication.Primary {
		c.follower = nil
	}
	switch {
	case live:
		c.begin()
	case killed:
		c.open()
	default:
		if c.rnd.IntN(3) == 0 {
			// A node that leads and has not begun writes this. The host journals it again.
			put(c.t, c.tap, "core/master", "of a seal that was migrated")
			defer put(c.t, c.tap, "core/master", "of a seal that was migrated")
		}
		c.begin()
	}
}

func (c *clusterOfRoles) write(n int) {
	for range n {
		name := []string{key(c.rnd.IntN(800)), fmt.Sprintf("logical/kv/%d", c.rnd.IntN(300)), "logical/ext/here/a",
			"logical/ext/a", "logical/lkv/a",
			"sys/token/id", "core/mounts", "core/lock", perfState, "surely/unknown"}[c.rnd.IntN(10)]
		if c.rnd.IntN(3) == 0 {
			del(c.t, c.tap, name)
		} else {
			put(c.t, c.tap, name, fmt.Sprint(c.rnd.IntN(5)))
		}
	}
	if c.rnd.IntN(3) == 0 {
		c.tap.Indexes().Store(testContext(c.t))
	}
}

func (c *clusterOfRoles) check() {
	c.t.Helper()
	for _, m := range []replication.Mode{dr, perf} {
		if r := c.roles[m]; r == replication.Primary || r == replication.Secondary {
			fingerprintOf(c.t, c.tap, m)
			requireRootOf(c.t, c.tap, m)
		}
	}
	if c.roles[dr] != replication.Primary {
		return
	}
	if c.follower == nil {
		c.follower = newTap(c.t, newTxn(c.t))
		require.NoError(c.t, c.follower.StartFingerprint(testContext(c.t), dr, indexKey))
		at, err := c.tap.OpenSlot(testContext(c.t), dr, "s")
		require.NoError(c.t, err)
		copyAll(c.t, c.tap, c.follower, dr, at)
	}
	follow(c.t, c.tap, c.follower, dr, "s", watermark(c.t, c.tap).Sequence)
	require.True(c.t, maps.Equal(content(c.t, c.tap, dr), content(c.t, c.follower, dr)))
	require.Equal(c.t, fingerprintOf(c.t, c.tap, dr), fingerprintOf(c.t, c.follower, dr))
}
