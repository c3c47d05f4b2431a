// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// remains are what file storage leaves of a write that is cut inside: folders, and after a loss of power a file that
// has its name and not its content.
var remains = map[string]func(name string, whole []byte) (file string, content []byte){
	"a folder":               func(string, []byte) (string, []byte) { return "", nil },
	"an empty file in place": func(name string, _ []byte) (string, []byte) { return "_" + name, []byte{} },
	"a part in place":        func(name string, b []byte) (string, []byte) { return "_" + name, b[:9] },
	"zeros in place":         func(name string, b []byte) (string, []byte) { return "_" + name, make([]byte, len(b)) },
}

// killed is file storage of a process that is killed inside a write.
type killed struct {
	physical.Backend
	t      *testing.T
	dir    string
	left   int
	leaves func(name string, whole []byte) (string, []byte)
}

// spend says whether the process lives on after the next write.
func (k *killed) spend() bool {
	k.left--
	return k.left >= 0
}

func (k *killed) Put(ctx context.Context, e *physical.Entry) error {
	if k.spend() {
		return k.Backend.Put(ctx, e)
	}
	if k.left == -1 {
		folder := filepath.Join(k.dir, path.Dir(e.Key))
		require.NoError(k.t, os.MkdirAll(folder, 0o700))
		whole := fmt.Appendf(nil, "{\"Value\":%q}\n", base64.StdEncoding.EncodeToString(e.Value))
		if name, content := k.leaves(path.Base(e.Key), whole); name != "" {
			require.NoError(k.t, os.WriteFile(filepath.Join(folder, name), content, 0o600))
		}
	}
	return errCut
}

func (k *killed) Delete(ctx context.Context, key string) error {
	if k.spend() {
		return k.Backend.Delete(ctx, key)
	}
	return errCut
}

// rows are what a storage has, by its listing.
func rows(t *testing.T, store physical.Backend, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	names, err := store.List(t.Context(), dir)
	require.NoError(t, err)
	for _, name := range names {
		if name[len(name)-1] == '/' {
			for k, v := range rows(t, store, dir+name) {
				out[k] = v
			}
			continue
		}
		e, err := store.Get(t.Context(), dir+name)
		require.NoError(t, err, dir+name)
		if e != nil {
			out[dir+name] = string(e.Value)
		}
	}
	return out
}

// A kill, or a loss of power, inside a write of a step or of its undoing leaves nothing that a listing or a read
// shows once the next leader has settled. Rows whose names look like such a file stay.
func TestKilledInsideAWriteOfAFile(t *testing.T) {
	t.Parallel()
	for what, leaves := range remains {
		for at := 1; at < 4; at++ {
			for again := range 5 {
				t.Run(fmt.Sprint(what, " ", at, " ", again), func(t *testing.T) {
					t.Parallel()
					dir := t.TempDir()
					files, err := file.NewFileBackend(map[string]string{"path": dir}, hclog.NewNullLogger())
					require.NoError(t, err)
					want := map[string]string{vaultname.Keyring: "keys", roleKey: "secondary", roleKey + "1": "a row of its own",
						otherKey: "old"}
					for k, v := range want {
						require.NoError(t, files.Put(t.Context(), &physical.Entry{Key: k, Value: []byte(v)}))
					}
					step := []Row{{roleKey, []byte("primary")}, {pluginKey, []byte("new")}, {otherKey, []byte("young")}}
					cut := &killed{Backend: files, t: t, dir: dir, left: at, leaves: leaves}
					require.ErrorIs(t, Write(t.Context(), process(t, cut), step), errCut)
					for k, v := range want {
						e, err := process(t, files).Get(t.Context(), k)
						require.NoError(t, err)
						require.NotNil(t, e, "%s reads as before", k)
						require.Equal(t, v, string(e.Value))
					}
					_ = Settle(t.Context(), process(t, &killed{Backend: files, t: t, dir: dir, left: again, leaves: leaves}))
					require.NoError(t, Settle(t.Context(), process(t, files)))
					require.Equal(t, want, rows(t, files, ""))
				})
			}
		}
	}
}
