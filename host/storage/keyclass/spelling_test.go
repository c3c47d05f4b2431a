// SPDX-License-Identifier: MPL-2.0

package keyclass_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	sharedUUID = "11111111-1111-1111-1111-111111111111"
	localUUID  = "22222222-2222-2222-2222-222222222222"
)

// twoMounts has the mounts of one kv and one local kv.
func twoMounts(t testing.TB) *keyclass.Classifier {
	t.Helper()
	m := keyclass.NewMounts()
	for table := range keyclass.Tables {
		var mounts []vaultname.Mount
		switch table {
		case "core/mounts":
			mounts = []vaultname.Mount{{UUID: sharedUUID, Path: "kv/", Type: "kv"}, {UUID: "pki", Path: "pki/", Type: "pki"}}
		case "core/local-mounts":
			mounts = []vaultname.Mount{{UUID: localUUID, Path: "lkv/", Type: "kv", Local: true}}
		}
		_, err := m.SetTable(table, mounts)
		require.NoError(t, err)
	}
	c := new(keyclass.Classifier)
	c.SetMounts(m)
	return c
}

// spellings returns texts that some storage takes for the given key.
func spellings(key string) []string {
	out := []string{
		"/" + key, "//" + key, "./" + key, "x/../" + key, key + "/", key + "/.", key + "//", key + "\x00", key + "\x00x",
		key + ".", key + " ",
		key + "::$DATA", strings.ToUpper(key), strings.ReplaceAll(key, "/", "//"), strings.ReplaceAll(key, "/", "/./"),
		strings.ReplaceAll(key, "/", `\`),
		strings.ReplaceAll(key, "/", "/x/../"), strings.ReplaceAll(key, "/", " /"), strings.ReplaceAll(key, "k", "\u212a"),
		strings.ReplaceAll(key, "s", "\u017f"),
		key[:2] + "\u200c" + key[2:],
	}
	for i := range key {
		if key[i] == '/' {
			out = append(out, key[:i]+"/"+key[i:], key[:i]+"/."+key[i:], key[:i]+"/y/.."+key[i:])
		}
	}
	return out
}

// No spelling of a key is replicated in a mode in which the key is not.
func TestNoSpellingIsOfAnotherClass(t *testing.T) {
	t.Parallel()
	var keys []string
	for _, r := range keyclass.Rows {
		if r.Prefix {
			keys = append(keys, r.Key+"x")
		} else {
			keys = append(keys, r.Key)
		}
	}
	keys = append(keys, "logical/"+sharedUUID+"/a", "logical/"+localUUID+"/a", "logical/pki/crls/a", "logical/pki/certs/a",
		"core/nobody-knows-it")
	for name, c := range map[string]*keyclass.Classifier{"mounts": twoMounts(t), "none": new(keyclass.Classifier)} {
		for _, mode := range []replication.Mode{replication.DR, replication.Performance} {
			out := func(key string) bool { return c.Replicated(mode, key) || c.Held(key) }
			for _, key := range keys {
				for _, s := range spellings(key) {
					if s != key && out(s) {
						require.True(t, out(key), "%s, %s: %q goes out, %q does not", name, mode, s, key)
						require.Equal(t, c.Class(key), c.Class(s), "%s, %s: %q for %q", name, mode, s, key)
					}
				}
			}
		}
	}
}

// Names that clients choose keep their class: keys of views may have any character.
func TestOddNamesOfViewsAreReplicated(t *testing.T) {
	t.Parallel()
	c := twoMounts(t)
	for _, rest := range []string{"", "a", "A/B", "a//b", "/a", "a/./b", "a:b", ":", " ", ".", "...", "a.", `dom\user`,
		"_a/b", "a\x00b", "é", "\u200d", "a/", "K", "CRL/x", "versions/0aB"} {
		require.Equal(t, keyclass.Shared, c.Class("logical/"+sharedUUID+"/"+rest), "%q", rest)
		require.Equal(t, keyclass.Local, c.Class("logical/"+localUUID+"/"+rest), "%q", rest)
	}
	for _, key := range []string{"sys/policy/a b", "sys/policy/A.B", "sys/policy/a:b", "sys/policy/:a", "sys/policy/é",
		"sys/policy/_x"} {
		require.Equal(t, keyclass.Shared, c.Class(key), "%q", key)
	}
}

// On file storage, no replicated key is the file of a key that is not replicated.
func FuzzNoSpellingReachesAnotherFile(f *testing.F) {
	secrets := []string{"core/replication/role", "replication/redo", "core/seal-config", "core/hsm/barrier-unseal-keys",
		"logical/" + localUUID + "/a"}
	for _, key := range secrets {
		for _, s := range spellings(key) {
			f.Add(s)
		}
	}
	c := twoMounts(f)
	f.Fuzz(func(t *testing.T, key string) {
		if len(key) > 200 || !c.Replicated(replication.Performance, key) && !c.Replicated(replication.DR, key) {
			return
		}
		ctx := context.Background()
		dir := t.TempDir()
		store, err := file.NewFileBackend(map[string]string{"path": dir}, hclog.NewNullLogger())
		require.NoError(t, err)
		for _, own := range secrets {
			require.NoError(t, store.Put(ctx, &physical.Entry{Key: own, Value: []byte(own)}))
		}
		_ = store.Put(ctx, &physical.Entry{Key: key, Value: []byte("forged")})
		_ = store.Delete(ctx, key)
		for _, own := range secrets {
			if !c.Replicated(replication.DR, own) || c.Class(own) != c.Class(key) && !c.Replicated(replication.DR, key) {
				e, err := store.Get(ctx, own)
				require.NoError(t, err)
				require.NotNil(t, e, "%q deletes %q", key, own)
				require.Equal(t, own, string(e.Value), "%q writes %q", key, own)
			}
		}
		outside, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "_*"))
		require.NoError(t, err)
		require.Empty(t, outside)
		_ = os.RemoveAll(dir)
	})
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"a/b": "a/b", "a//b": "a/b", "/a": "a", "./a": "a", "a/.": "a", "a/": "a", "a/./b": "a/b", "a/../b": "b", "../a": "a",
		"": "", "a.b": "a.b", ".a": ".a", "a/.b": "a/.b",
	} {
		require.Equal(t, want, keyclass.Canonical(key), key)
	}
	for prefix, want := range map[string]string{"": "", "a/": "a/", "a//": "a/", "/": "", "./a/": "a/", "a": "a"} {
		require.Equal(t, want, keyclass.CanonicalPrefix(prefix), prefix)
	}
}

func BenchmarkClass(b *testing.B) {
	c := twoMounts(b)
	for name, key := range map[string]string{
		"plain": "logical/" + sharedUUID + "/a/b", "folded": "logical/" + sharedUUID + "/versions/0aB/0123456789abcdefABCDEF",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c.Class(key)
			}
		})
	}
}
