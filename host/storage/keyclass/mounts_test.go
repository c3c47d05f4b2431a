// SPDX-License-Identifier: MPL-2.0

package keyclass_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

func setTable(t *testing.T, m *keyclass.Mounts, table string, mounts ...vaultname.Mount) []string {
	t.Helper()
	changed, err := m.SetTable(table, mounts)
	require.NoError(t, err)
	return changed
}

func TestClassesOfViews(t *testing.T) {
	t.Parallel()
	m := keyclass.NewMounts()
	var c keyclass.Classifier
	require.Equal(t, keyclass.Shared, c.Class("logical/new/a"), "without mounts all views are shared, for DR")
	c.SetMounts(m)
	setTable(t, m, "core/mounts",
		vaultname.Mount{UUID: "pki", Type: "pki", Path: "pki/"},
		vaultname.Mount{UUID: "kv", Type: "kv"},
		vaultname.Mount{UUID: "old-local", Type: "kv", Local: true},
		vaultname.Mount{UUID: "ext", Type: "my-plugin", External: true},
		vaultname.Mount{UUID: "fake-kv", Type: "kv", External: true},
		vaultname.Mount{UUID: "id", Type: "identity"})
	setTable(t, m, "core/local-mounts", vaultname.Mount{UUID: "cubby", Type: "cubbyhole"},
		vaultname.Mount{UUID: "lkv", Type: "kv"})
	setTable(t, m, "core/auth", vaultname.Mount{UUID: "approle", Type: "approle"})
	setTable(t, m, "core/local-auth", vaultname.Mount{UUID: "lup", Type: "userpass"})
	setTable(t, m, "core/audit", vaultname.Mount{UUID: "file", Type: "file"})
	for key, want := range map[string]keyclass.Class{
		"logical/pki/crls/1":                        keyclass.Local,
		"logical/pki/crl":                           keyclass.Local,
		"logical/pki/certs/1":                       keyclass.Local,
		"logical/pki/config/cluster":                keyclass.Local,
		"logical/pki/config/issuers":                keyclass.Shared,
		"logical/pki/unified-delta-wal/1":           keyclass.Shared,
		"logical/kv/certs/1":                        keyclass.Shared,
		"logical/kv/wal/1":                          keyclass.Shared,
		"logical/old-local/a":                       keyclass.Local,
		"logical/ext/a":                             keyclass.Unknown,
		"logical/fake-kv/a":                         keyclass.Unknown,
		"logical/id/packer/local-aliases/buckets/1": keyclass.Local,
		"logical/id/packer/buckets/1":               keyclass.Shared,
		"logical/cubby/token/a":                     keyclass.Local,
		"logical/lkv/a":                             keyclass.Local,
		"logical/unheard-of/a":                      keyclass.Unknown,
		"logical/lup/a":                             keyclass.Unknown,
		"logical/":                                  keyclass.Unknown,
		"logical/kv":                                keyclass.Unknown,
		"auth/approle/secret_id_local/a":            keyclass.Local,
		"auth/approle/secret_id/a":                  keyclass.Shared,
		"auth/lup/user/a":                           keyclass.Local,
		"auth/kv/a":                                 keyclass.Unknown,
		"audit/file/salt":                           keyclass.Shared,
		"audit/gone/salt":                           keyclass.Unknown,
		"core/mounts":                               keyclass.Shared,
	} {
		require.Equal(t, want, c.Class(key), key)
	}
	require.True(t, c.Held("logical/ext/a"))
	require.False(t, c.Held("core/invented"))
	require.False(t, c.Orphan("logical/unheard-of/a"), "a table is missing that may have it")
	setTable(t, m, "core/local-audit")
	require.True(t, c.Orphan("logical/unheard-of/a"))
	require.False(t, c.Orphan("logical/ext/a"))
	v, ok := m.View("logical/pki/some/key")
	require.True(t, ok)
	require.Equal(t, "pki/", v.Path)
	require.Len(t, m.Views(), 11)
}

// Neither of the two sources is enough alone, whichever comes first. Each returns what it has changed.
func TestTwoSources(t *testing.T) {
	t.Parallel()
	m := keyclass.NewMounts()
	var c keyclass.Classifier
	c.SetMounts(m)
	ext := vaultname.Mount{UUID: "u", Type: "my-plugin", External: true}
	require.Empty(t, m.SetLocalPrefixes("u", []string{"here/"}), "of no known mount")
	require.Equal(t, keyclass.Unknown, c.Class("auth/u/a"))
	require.Equal(t, []string{"auth/u/"}, setTable(t, m, "core/auth", ext))
	require.Equal(t, keyclass.Shared, c.Class("auth/u/a"))
	require.Equal(t, keyclass.Local, c.Class("auth/u/here/a"))
	require.Empty(t, setTable(t, m, "core/auth", ext), "nothing has changed")
	require.Equal(t, []string{"auth/u/"}, m.SetLocalPrefixes("u", nil))
	require.Equal(t, keyclass.Shared, c.Class("auth/u/here/a"))

	require.Equal(t, []string{"auth/u/"}, setTable(t, m, "core/auth"))
	require.Equal(t, keyclass.Unknown, c.Class("auth/u/a"))
	setTable(t, m, "core/auth", ext)
	require.Equal(t, keyclass.Unknown, c.Class("auth/u/a"), "what an earlier mount declared is forgotten with it")
	require.Equal(t, []string{"auth/u/"}, m.SetLocalPrefixes("u", []string{}))
	require.Equal(t, keyclass.Shared, c.Class("auth/u/a"))

	_, err := m.SetTable("core/mountz", nil)
	require.Error(t, err)
}

// A built-in backend that cannot be loaded declares nothing. The known local paths of its type still hold.
func TestDeclaredPrefixesDoNotTakeAway(t *testing.T) {
	t.Parallel()
	m := keyclass.NewMounts()
	var c keyclass.Classifier
	c.SetMounts(m)
	setTable(t, m, "core/mounts", vaultname.Mount{UUID: "pki", Type: "pki"})
	m.SetLocalPrefixes("pki", nil)
	require.Equal(t, keyclass.Local, c.Class("logical/pki/certs/1"))
	m.SetLocalPrefixes("pki", []string{"more/"})
	require.Equal(t, keyclass.Local, c.Class("logical/pki/more/1"))
}

// If a backend cannot be loaded here, the record gives the classes of its mount. On a primary, a loaded backend
// overrides the record.
func TestRecordedMount(t *testing.T) {
	t.Parallel()
	m := keyclass.NewMounts()
	var c keyclass.Classifier
	c.SetMounts(m)
	setTable(t, m, "core/mounts", vaultname.Mount{UUID: "ext", Type: "ext", External: true},
		vaultname.Mount{UUID: "kv", Type: "kv"},
		vaultname.Mount{UUID: "pki", Type: "pki", External: true})
	setTable(t, m, "core/local-auth", vaultname.Mount{UUID: "l", Type: "ext", External: true})
	require.Equal(t, keyclass.Unknown, c.Class("logical/ext/a"))
	require.Equal(t, []string{"logical/ext/"}, m.SetRecorded(keyclass.Declared{"ext": {"here/"}, "kv": nil, "l": nil}))
	require.Empty(t, m.SetRecorded(keyclass.Declared{"ext": {"here/"}, "gone": nil}))
	require.Equal(t, keyclass.Shared, c.Class("logical/ext/a"))
	require.Equal(t, keyclass.Local, c.Class("logical/ext/here/a"))
	require.Equal(t, keyclass.Unknown, c.Class("logical/pki/a"), "another program has the name of a built-in engine")
	require.Equal(t, keyclass.Unknown, c.Class("logical/new/a"), "no table has it")
	require.Equal(t, keyclass.Local, c.Class("auth/l/a"))

	require.Equal(t, []string{"logical/ext/"}, m.SetLocalPrefixes("ext", nil), "it is of another version")
	require.Equal(t, keyclass.Shared, c.Class("logical/ext/here/a"))
	require.Equal(t, []string{"logical/ext/"}, m.Unload())
	require.Equal(t, keyclass.Local, c.Class("logical/ext/here/a"))
	require.Equal(t, []string{"logical/ext/"}, m.SetRecorded(nil))
	require.Equal(t, keyclass.Unknown, c.Class("logical/ext/a"))

	for prefix, want := range map[string]bool{"logical/ext/": true, "logical/kv/": false, "logical/pki/": true,
		"auth/l/": false} {
		v, ok := m.View(prefix)
		require.True(t, ok)
		require.Equal(t, want, v.ByRecord(), prefix)
	}
}

// A mount that any table has as local is local, whichever table comes first.
func TestLocalWins(t *testing.T) {
	t.Parallel()
	for range 20 {
		m := keyclass.NewMounts()
		var c keyclass.Classifier
		c.SetMounts(m)
		setTable(t, m, "core/mounts", vaultname.Mount{UUID: "u", Type: "kv"})
		setTable(t, m, "core/local-mounts", vaultname.Mount{UUID: "u", Type: "kv"})
		require.Equal(t, keyclass.Local, c.Class("logical/u/a"))
	}
}

func TestBuiltins(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, b := range keyclass.Builtins {
		require.False(t, seen[b.Kind+b.Type], "%s %s is there twice", b.Kind, b.Type)
		seen[b.Kind+b.Type] = true
		require.Contains(t, keyclass.ViewDirectories, b.Kind)
		require.NotEmpty(t, b.Why, b.Type)
	}
}

func TestMountsConcurrently(t *testing.T) {
	t.Parallel()
	m := keyclass.NewMounts()
	var c keyclass.Classifier
	c.SetMounts(m)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				_, _ = m.SetTable("core/mounts", []vaultname.Mount{{UUID: "u", Type: "kv"}})
				m.SetLocalPrefixes("u", []string{"a/"})
			}
		})
		wg.Go(func() {
			for range 200 {
				if class := c.Class("logical/u/b"); class == keyclass.Local {
					t.Error("never local")
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, keyclass.Local, c.Class("logical/u/a/1"))
}
