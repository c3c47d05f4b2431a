// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// making is a primary that makes a mount and a secondary that has its keys but not yet the table. The secondary goes by
// the tables that it gets.
type making struct {
	t                  *testing.T
	primary, secondary *storage.Tap
	pm, sm             *keyclass.Mounts
}

func makeMount(t *testing.T, filtered bool) *making {
	m := &making{t: t}
	m.primary, m.secondary, m.pm, m.sm = perfPair(t, newTxn(t), func(o *storage.Options) { o.RingBytes = 1 })
	if filtered {
		require.NoError(t, m.primary.SetFilter(t.Context(), perf, "s", func(string) bool { return true }))
	}
	m.follows()
	m.knows(m.pm, "with")
	m.reclassify()
	put(t, m.primary, "logical/new/a", "1")
	put(t, m.primary, "logical/new/b/c", "1")
	catchUp(t, m.primary, m.secondary)
	m.requireKeys("1")
	return m
}

// knows takes up a table. It has the mount if table is "with".
func (m *making) knows(known *keyclass.Mounts, table string) {
	mounts := []vaultname.Mount{{UUID: "kv", Type: "kv"}}
	if table == "with" {
		mounts = append(mounts, vaultname.Mount{UUID: "new", Type: "kv"})
	}
	setTable(m.t, known, "core/mounts", mounts...)
}

func (m *making) follows() {
	m.secondary.Classes().SetMounts(m.sm)
	m.secondary.BeforeApply(func(_ context.Context, b *txn.Batch) error {
		if e, comes := b.Get("core/mounts"); comes {
			m.knows(m.sm, string(e.Value))
		}
		return nil
	})
}

func (m *making) restart() {
	m.secondary = newTap(m.t, m.secondary.Inner())
	m.follows()
}

func (m *making) reclassify() {
	require.NoError(m.t, m.primary.Reclassify(m.t.Context(), "logical/new/"))
}

func (m *making) store(table string) {
	m.knows(m.pm, table)
	m.reclassify()
	put(m.t, m.primary, "core/mounts", table)
}

func (m *making) clear() {
	_, err := m.primary.ClearView(m.t.Context(), "logical/new/")
	require.NoError(m.t, err)
}

func (m *making) requireKeys(value string) {
	m.t.Helper()
	require.Equal(m.t, value, get(m.t, m.secondary.Inner(), "logical/new/a"))
	require.Equal(m.t, value, get(m.t, m.secondary.Inner(), "logical/new/b/c"))
}

// Keys of a mount come ahead of its table. If the table that arrives lacks the mount, the keys are deleted: a filtered
// secondary does not hear of keys of a mount that is gone, and no secondary hears of keys of a mount that was never
// made.
func TestKeysOfMountThatDoesNotComeGo(t *testing.T) {
	t.Parallel()
	for what, unmake := range map[string]func(m *making){
		"removed before its table was read": func(m *making) {
			m.store("with")
			m.clear()
			m.store("without")
		},
		"its table could not be stored": func(m *making) {
			m.knows(m.pm, "without")
			m.reclassify()
			m.store("another")
		},
	} {
		for _, filtered := range []bool{false, true} {
			for _, restarted := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, filtered %t, restarted %t", what, filtered, restarted), func(t *testing.T) {
					t.Parallel()
					m := makeMount(t, filtered)
					if restarted {
						m.restart()
					}
					unmake(m)
					catchUp(t, m.primary, m.secondary)
					m.requireKeys("<none>")
					require.True(t, m.sm.Complete())
				})
			}
		}
	}
}

// Keys of a mount whose table is still to come stay: another table says nothing about them. When a table drops a known
// mount, its keys stay until the core has ended the mount.
func TestKeysOfMountInTheMakingStay(t *testing.T) {
	t.Parallel()
	for _, filtered := range []bool{false, true} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("filtered %t, restarted %t", filtered, restarted), func(t *testing.T) {
				t.Parallel()
				m := makeMount(t, filtered)
				put(t, m.primary, "core/auth", "another")
				catchUp(t, m.primary, m.secondary)
				m.requireKeys("1")
				m.store("with")
				catchUp(t, m.primary, m.secondary)
				m.requireKeys("1")
				if restarted {
					m.restart()
				}
				m.store("without")
				catchUp(t, m.primary, m.secondary)
				m.requireKeys("1")
			})
		}
	}
}
