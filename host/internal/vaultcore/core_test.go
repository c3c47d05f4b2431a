// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

const (
	normal      = consts.ReplicationDRDisabled | consts.ReplicationPerformanceDisabled
	drSecondary = consts.ReplicationDRSecondary | consts.ReplicationPerformanceDisabled
)

// attached is a core with seams that is initialised and sealed.
func attached(t *testing.T) (*Core, [][]byte, string) {
	t.Helper()
	core := vault.TestCore(t)
	c, err := Attach(core)
	require.NoError(t, err)
	keys, root := vault.TestCoreInit(t, core)
	return c, keys, root
}

func unseal(t *testing.T, c *Core, keys [][]byte) {
	t.Helper()
	for _, k := range keys {
		_, err := vault.TestCoreUnseal(c.Core, vault.TestKeyCopy(k))
		require.NoError(t, err)
	}
	require.False(t, c.Sealed())
}

func request(c *Core, op logical.Operation, path, token string, data map[string]any) (*logical.Response, error) {
	req := logical.TestRequest(&testing.T{}, op, path)
	req.ClientToken = token
	req.Data = data
	return c.HandleRequest(namespace.RootContext(context.Background()), req)
}

func mountKV(t *testing.T, c *Core, root string) {
	t.Helper()
	_, err := request(c, logical.UpdateOperation, "sys/mounts/secret", root, map[string]any{"type": "kv"})
	require.NoError(t, err)
}

func TestAttachRefusesAnOpenCore(t *testing.T) {
	t.Parallel()
	core, _, _ := vault.TestCoreUnsealed(t)
	_, err := Attach(core)
	require.ErrorContains(t, err, "before Vault is unsealed")
}

func TestBarrierHook(t *testing.T) {
	t.Parallel()
	c, keys, _ := attached(t)
	refuse := errors.New("the role is unknown")
	fail := true
	c.OnBarrierOpen(func(context.Context) error {
		if fail {
			return refuse
		}
		return nil
	})
	var err error
	for _, k := range keys {
		_, err = vault.TestCoreUnseal(c.Core, vault.TestKeyCopy(k))
	}
	require.ErrorIs(t, err, refuse)
	require.True(t, c.Sealed())
	sealed, err := c.barrier.Sealed()
	require.NoError(t, err)
	require.True(t, sealed, "a node that does not know its role must not keep its barrier open")

	fail = false
	unseal(t, c, keys)
}

// A core is opened once, whoever else gives a share while it opens. One that has failed
// half way is not open, and may be tried again.
func TestCoreIsOpenedOnce(t *testing.T) {
	t.Parallel()
	c, keys, _ := attached(t)
	unseal(t, c, keys)
	root, err := c.RootKey()
	require.NoError(t, err)
	require.ErrorIs(t, pinned.UnsealInternal(c.Core, context.Background(), root), errOpenAlready)
	opened := make(chan struct{})
	c.barrier.opened = func() bool {
		select {
		case <-opened:
			return true
		default:
			close(opened)
			return false
		}
	}
	require.ErrorIs(t, c.barrier.Unseal(context.Background(), root), errOpenAlready, "it was being opened")
}

// recorder counts the writes that pass.
type recorder struct {
	physical.Backend
	mu   sync.Mutex
	keys map[string]int
}

func (r *recorder) Put(ctx context.Context, e *physical.Entry) error {
	r.mu.Lock()
	r.keys[e.Key]++
	r.mu.Unlock()
	return r.Backend.Put(ctx, e)
}

func TestStorageSeamSeesBarrierAndSealWrites(t *testing.T) {
	t.Parallel()
	core := vault.TestCore(t)
	c, err := Attach(core)
	require.NoError(t, err)
	r := &recorder{keys: map[string]int{}}
	c.InstallStorage(func(inner physical.Backend) physical.Backend {
		r.Backend = inner
		return r
	})
	keys, root := vault.TestCoreInit(t, core)
	unseal(t, c, keys)
	_, err = request(c, logical.UpdateOperation, "sys/policy/p", root,
		map[string]any{"policy": `path "a" { capabilities = ["read"] }`})
	require.NoError(t, err)

	r.mu.Lock()
	defer r.mu.Unlock()
	require.NotZero(t, r.keys["core/keyring"])
	require.NotZero(t, r.keys["core/seal-config"])
	require.NotZero(t, r.keys["core/hsm/barrier-unseal-keys"])
	require.NotZero(t, r.keys["sys/policy/p"])
}

func TestRestartChangesTheRole(t *testing.T) {
	t.Parallel()
	c, keys, root := attached(t)
	var word atomic.Uint32
	word.Store(uint32(normal))
	var active, inactive atomic.Int32
	c.OnBarrierOpen(func(ctx context.Context) error {
		w := consts.ReplicationState(word.Load())
		c.SetReplicationState(w)
		return c.SetInertBackends(ctx, w.HasState(consts.ReplicationDRSecondary))
	})
	c.OnActive(func(context.Context) { active.Add(1) })
	c.OnInactive(func() { inactive.Add(1) })
	unseal(t, c, keys)
	require.EqualValues(t, 1, active.Load())
	mountKV(t, c, root)

	_, err := request(c, logical.UpdateOperation, "secret/a", root, map[string]any{"v": "1"})
	require.NoError(t, err)

	require.NoError(t, c.Restart(context.Background(), func(context.Context) ([]byte, error) {
		require.EqualValues(t, 1, inactive.Load(), "the active duty must end before the change")
		word.Store(uint32(drSecondary))
		return nil, nil
	}))
	require.True(t, c.IsDRSecondary())
	require.EqualValues(t, 2, active.Load())
	_, err = request(c, logical.ReadOperation, "secret/a", root, nil)
	require.Error(t, err, "an engine of a secondary must be inert")

	require.NoError(t, c.Restart(context.Background(), func(context.Context) ([]byte, error) {
		word.Store(uint32(normal))
		return nil, nil
	}))
	resp, err := request(c, logical.ReadOperation, "secret/a", root, nil)
	require.NoError(t, err)
	require.Equal(t, "1", resp.Data["v"])
}

func TestRestartThatFailsLeavesTheOldRole(t *testing.T) {
	t.Parallel()
	c, keys, root := attached(t)
	unseal(t, c, keys)
	mountKV(t, c, root)
	broken := errors.New("disk full")
	err := c.Restart(context.Background(), func(context.Context) ([]byte, error) { return []byte("not a key"), broken })
	require.ErrorIs(t, err, broken)
	require.False(t, c.Sealed())
	_, err = request(c, logical.UpdateOperation, "secret/a", root, map[string]any{"v": "1"})
	require.NoError(t, err)
}

// A share that is given during a restart waits for its end: it must not open the
// core in the old role.
func TestShareDuringRestartWaits(t *testing.T) {
	t.Parallel()
	c, keys, _ := attached(t)
	unseal(t, c, keys)
	asked := make(chan error, 1)
	require.False(t, c.Restarting())
	require.NoError(t, c.Restart(context.Background(), func(context.Context) ([]byte, error) {
		require.True(t, c.Restarting())
		go func() {
			_, err := vault.TestCoreUnseal(c.Core, vault.TestKeyCopy(keys[0]))
			asked <- err
		}()
		// A core that lets the share in answers within microseconds; one that makes
		// it wait passes however long this takes.
		select {
		case err := <-asked:
			t.Error("a share was taken in the middle of a restart")
			asked <- err
		case <-time.After(50 * time.Millisecond):
		}
		return nil, nil
	}))
	require.NoError(t, <-asked)
	require.False(t, c.Sealed())
	require.False(t, c.Restarting())
}

func TestSystemBackendHook(t *testing.T) {
	t.Parallel()
	c, keys, root := attached(t)
	c.OnCoreBackend(vaultname.System, func(b *framework.Backend) error {
		b.Paths = append([]*framework.Path{{
			Pattern: "replication/ours$",
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{Callback: func(context.Context, *logical.Request,
					*framework.FieldData) (*logical.Response, error) {
					return &logical.Response{Data: map[string]any{"ours": true}}, nil
				}},
			},
		}}, b.Paths...)
		return nil
	})
	unseal(t, c, keys)
	resp, err := request(c, logical.ReadOperation, "sys/replication/ours", root, nil)
	require.NoError(t, err)
	require.Equal(t, true, resp.Data["ours"])
}

func TestKeysAndShares(t *testing.T) {
	t.Parallel()
	c, keys, _ := attached(t)
	unseal(t, c, keys)
	ctx := context.Background()

	root, err := c.RootKey()
	require.NoError(t, err)
	require.NoError(t, c.VerifyRootKey(root))
	clear(root)
	again, err := c.RootKey()
	require.NoError(t, err)
	require.NoError(t, c.VerifyRootKey(again), "wiping the copy must leave the barrier's key alone")

	require.Error(t, c.VerifyShares(ctx, make([]byte, 32)))
	shares, threshold, err := c.ShareConfig(ctx)
	require.NoError(t, err)
	require.Equal(t, len(keys), shares)
	require.LessOrEqual(t, threshold, shares)
}

func TestAllowBatchToken(t *testing.T) {
	t.Parallel()
	c, keys, root := attached(t)
	unseal(t, c, keys)
	const path = "sys/replication/dr/secondary/promote"
	_, err := request(c, logical.UpdateOperation, "sys/policy/dr", root,
		map[string]any{"policy": `path "` + path + `" { capabilities = ["update"] }`})
	require.NoError(t, err)
	token := func(t *testing.T, data map[string]any, role ...string) string {
		t.Helper()
		resp, err := request(c, logical.UpdateOperation, strings.Join(append([]string{"auth/token/create"}, role...), "/"),
			root, data)
		require.NoError(t, err)
		require.NoError(t, resp.Error())
		return resp.Auth.ClientToken
	}
	_, err = request(c, logical.UpdateOperation, "sys/policy/ruled", root, map[string]any{"policy": `path "` + path + `" {
		capabilities = ["update"]
		denied_parameters = { "force" = [true] }
		allowed_parameters = { "force" = [], "primary_api_addr" = [] }
	}`})
	require.NoError(t, err)
	_, err = request(c, logical.UpdateOperation, "auth/token/roles/bound", root, map[string]any{
		"orphan": true, "renewable": false, "token_type": "batch", "allowed_policies": "dr",
		"token_bound_cidrs": "192.0.2.0/24",
	})
	require.NoError(t, err)
	bound := token(t, map[string]any{"policies": []string{"dr"}, "ttl": "1h"}, "bound")
	ruled := token(t, map[string]any{"type": "batch", "no_parent": true, "policies": []string{"ruled"}, "ttl": "1h"})
	tests := map[string]struct {
		token string
		path  string
		data  map[string]any
		from  string
		want  error
	}{
		"orphan batch": {token(t, map[string]any{"type": "batch", "no_parent": true, "policies": []string{"dr"},
			"ttl": "1h"}), path, nil, "", nil},
		"other path": {token(t, map[string]any{"type": "batch", "no_parent": true, "policies": []string{"dr"},
			"ttl": "1h"}), "sys/replication/dr/secondary/disable", nil, "", ErrTokenPolicy},
		"other policy": {token(t, map[string]any{"type": "batch", "no_parent": true, "policies": []string{"default"},
			"ttl": "1h"}), path, nil, "", ErrTokenPolicy},
		"with a parent": {token(t, map[string]any{"type": "batch", "policies": []string{"dr"}, "ttl": "1h"}), path, nil, "",
			ErrNotOrphan},
		"service": {token(t, map[string]any{"policies": []string{"dr"}}), path, nil, "", ErrNoBatchToken},
		"root":    {root, path, nil, "", ErrNoBatchToken},
		"garbage": {"hvb.AAAAAQ", path, nil, "", ErrTokenExpired},

		"bound, from there":          {bound, path, nil, "192.0.2.7", nil},
		"bound, from elsewhere":      {bound, path, nil, "192.0.3.7", ErrTokenAddress},
		"bound, from nobody knows":   {bound, path, nil, "", ErrTokenAddress},
		"a parameter that is denied": {ruled, path, map[string]any{"force": true}, "", ErrTokenPolicy},
		"a value that is not denied": {ruled, path, map[string]any{"force": false}, "", nil},
		"a parameter not allowed":    {ruled, path, map[string]any{"other": "x"}, "", ErrTokenPolicy},
		"without parameters":         {ruled, path, nil, "", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			use := &logical.Request{Operation: logical.UpdateOperation, Path: tt.path, Data: tt.data}
			if tt.from != "" {
				use.Connection = &logical.Connection{RemoteAddr: tt.from}
			}
			err := c.AllowBatchToken(context.Background(), tt.token, use, false)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tt.want)
		})
	}
}

// What a duty has begun ends with it, also after the duty in which a cluster is
// initialised, whose context Vault leaves open.
func TestEachDutyEnds(t *testing.T) {
	t.Parallel()
	core := vault.TestCore(t)
	c, err := Attach(core)
	require.NoError(t, err)
	var duties []context.Context
	c.OnActive(func(duty context.Context) { duties = append(duties, duty) })
	keys, _ := vault.TestCoreInit(t, core)
	require.Len(t, duties, 1)
	require.Error(t, duties[0].Err(), "the core that was initialised is sealed")
	unseal(t, c, keys)
	require.Len(t, duties, 2)
	require.NoError(t, duties[1].Err())
	require.NoError(t, vault.TestCoreSeal(core))
	require.Error(t, duties[1].Err())
}

// A core makes all writes of file storage in the way that leaves no other row when a write is cut.
func TestFilesAreWrittenWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files, err := file.NewFileBackend(map[string]string{"path": dir}, hclog.NewNullLogger())
	require.NoError(t, err)
	// A process that was killed has left it.
	unfinished := filepath.Join(dir, ".unfinished")
	require.NoError(t, os.MkdirAll(unfinished, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(unfinished, "1"), []byte("{"), 0o600))
	core := vault.TestCore(t)
	*pinned.Field[physical.Backend](core, "underlyingPhysical") = files
	above := *pinned.Field[physical.Backend](core, "sealUnwrapper")
	*pinned.Field[physical.Backend](above, "underlying") = files
	c, err := Attach(core)
	require.NoError(t, err)
	require.NoDirExists(t, unfinished)
	keys, root := vault.TestCoreInit(t, core)
	unseal(t, c, keys)
	mountKV(t, c, root)
	require.DirExists(t, unfinished)

	// Nothing is written where this way is closed.
	require.NoError(t, os.RemoveAll(unfinished))
	require.NoError(t, os.WriteFile(unfinished, nil, 0o600))
	_, err = request(c, logical.UpdateOperation, "secret/a", root, map[string]any{"a": "b"})
	require.Error(t, err)
}

// Whether the core takes requests is known without waiting for it.
func TestFreeCore(t *testing.T) {
	t.Parallel()
	c, keys, _ := attached(t)
	unseal(t, c, keys)
	require.True(t, c.Free())
	lock := c.lockState(time.Hour)
	require.False(t, c.Free())
	lock.Unlock()
	require.True(t, c.Free())
}
