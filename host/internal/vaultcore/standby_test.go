// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/helper/locking"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// sharedStorage is a cluster of two nodes on one storage with a lock: the first is
// active, the second on standby.
func sharedStorage(t *testing.T) (store physical.Backend, active, standby *Core, root string) {
	t.Helper()
	logger := hclog.NewNullLogger()
	store, err := inmem.NewInmem(nil, logger)
	require.NoError(t, err)
	ha, err := inmem.NewInmemHA(nil, logger)
	require.NoError(t, err)
	node := func(addr string) *Core {
		core, err := vault.NewCore(&vault.CoreConfig{
			Physical: store, HAPhysical: ha.(physical.HABackend), RedirectAddr: addr, DisableMlock: true, Logger: logger,
		})
		require.NoError(t, err)
		c, err := Attach(core)
		require.NoError(t, err)
		t.Cleanup(func() { _ = core.ShutdownWait() })
		return c
	}
	active, standby = node("http://127.0.0.1:8200"), node("http://127.0.0.1:8202")
	keys, root := vault.TestCoreInit(t, active.Core)
	unseal(t, active, keys)
	eventually(t, func() bool { return !isStandby(active) })
	unseal(t, standby, keys)
	require.True(t, isStandby(standby))
	return store, active, standby, root
}

func isStandby(c *Core) bool {
	is, err := c.Standby()
	return err == nil && is
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 5*time.Millisecond)
}

// The lock that the seal keeps is given up when the core is open again: without that
// neither this node nor another would ever lead.
func TestRestartOnSharedStorage(t *testing.T) {
	t.Parallel()
	_, active, standby, _ := sharedStorage(t)
	require.NoError(t, active.Restart(t.Context(), func(context.Context) ([]byte, error) {
		require.True(t, isStandby(standby), "nobody leads while the change is made")
		return nil, nil
	}))
	eventually(t, func() bool { return !isStandby(active) || !isStandby(standby) })
}

// A standby follows each rotation and each rekey of the active node, in whatever order
// it sees them and without the upgrades that a rotation leaves for some time.
func TestStandbyFollowsKeys(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, active, standby, _ := sharedStorage(t)
	follows := func() {
		t.Helper()
		sealed, err := active.Encrypt(ctx, "a", []byte("b"))
		require.NoError(t, err)
		replaced, err := standby.KeysReplaced(ctx)
		require.NoError(t, err)
		require.False(t, replaced)
		opened, err := standby.Decrypt(ctx, "a", sealed)
		require.NoError(t, err)
		require.Equal(t, []byte("b"), opened)
	}
	rekey := func() {
		key, err := active.barrier.inner.GenerateKey(rand.Reader)
		require.NoError(t, err)
		require.NoError(t, active.barrier.inner.Rekey(ctx, key))
	}
	follows()
	rekey()
	follows()
	_, err := active.barrier.inner.Rotate(ctx, rand.Reader)
	require.NoError(t, err)
	follows()
	term, err := active.barrier.inner.Rotate(ctx, rand.Reader)
	require.NoError(t, err)
	require.NoError(t, active.barrier.inner.CreateUpgrade(ctx, term))
	rekey()
	follows()
}

// A secondary that holds its primary's keyring back has the upgrades of the rotation
// without it. Vault asks for upgrades until there is none: that has to end.
func TestUpgradesBeforeTheirKeyringAreFollowed(t *testing.T) {
	t.Parallel()
	store, active, standby, _ := sharedStorage(t)
	ctx := t.Context()
	standby.OnKeyCheck(func(ctx context.Context) error {
		_, err := standby.KeysReplaced(ctx)
		return err
	})
	ring, err := store.Get(ctx, vaultname.Keyring)
	require.NoError(t, err)
	for range 2 {
		term, err := active.barrier.inner.Rotate(ctx, rand.Reader)
		require.NoError(t, err)
		require.NoError(t, active.barrier.inner.CreateUpgrade(ctx, term))
	}
	require.NoError(t, store.Put(ctx, ring))
	upgrades := 0
	for more := true; more; upgrades++ {
		require.Less(t, upgrades, 10, "it goes round")
		more, _, err = standby.barrier.CheckUpgrade(ctx)
		require.NoError(t, err)
	}
	sealed, err := active.Encrypt(ctx, "a", []byte("b"))
	require.NoError(t, err)
	_, err = standby.Decrypt(ctx, "a", sealed)
	require.NoError(t, err)
}

// replaceKeys puts the keys of another cluster into storage, as an adoption does.
func replaceKeys(t *testing.T, store physical.Backend) {
	t.Helper()
	scratch, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	other, err := vault.NewAESGCMBarrier(scratch, false)
	require.NoError(t, err)
	key, err := other.GenerateKey(rand.Reader)
	require.NoError(t, err)
	require.NoError(t, other.Initialize(t.Context(), key, nil, rand.Reader))
	for _, row := range []string{vaultname.Keyring, vaultname.RootKey} {
		e, err := scratch.Get(t.Context(), row)
		require.NoError(t, err)
		require.NoError(t, store.Put(t.Context(), e))
	}
}

// A node whose keys were replaced does not lead, though it gets the lock, and does not
// end: it gives the lock back and can be sealed and unsealed.
func TestNodeWithReplacedKeysDoesNotLead(t *testing.T) {
	t.Parallel()
	store, active, standby, root := sharedStorage(t)
	asked := make(chan struct{}, 1)
	standby.OnKeyCheck(func(ctx context.Context) error {
		replaced, err := standby.KeysReplaced(ctx)
		if err != nil || !replaced {
			return errors.Join(err, errors.New("the keys look like its own"))
		}
		go func() {
			if standby.SealStandby(context.Background()) == nil {
				asked <- struct{}{}
			}
		}()
		return context.Canceled
	})
	led := make(chan struct{}, 1)
	standby.OnActive(func(context.Context) { led <- struct{}{} })
	replaceKeys(t, store)
	require.NoError(t, active.Core.Seal(root))

	<-asked
	require.True(t, standby.Sealed())
	select {
	case <-led:
		t.Fatal("a node led with keys that were replaced")
	case <-standby.ShutdownDone():
		t.Fatal("the server was told to end")
	default:
	}
	lock, err := (*pinned.Field[physical.HABackend](standby.Core, "ha")).LockWith(vault.CoreLockPath, "probe")
	require.NoError(t, err)
	held, _, err := lock.Value()
	require.NoError(t, err)
	require.False(t, held, "the lock was given back")
}

// From the moment in which a standby counts as sealed nobody can unseal it until its
// barrier is closed, and one that has come to the new keys is not sealed once more.
func TestStandbyIsSealedUnderTheStateLock(t *testing.T) {
	t.Parallel()
	store, _, standby, _ := sharedStorage(t)
	require.NoError(t, standby.SealStandby(t.Context()))
	require.False(t, standby.Sealed(), "its keys are those of the cluster")

	replaceKeys(t, store)
	// The seal waits for this right after its mark.
	forwarding := pinned.Field[sync.RWMutex](standby.Core, "requestForwardingConnectionLock")
	forwarding.Lock()
	done := make(chan error, 1)
	go func() { done <- standby.SealStandby(context.Background()) }()
	eventually(t, standby.Sealed)
	state, ok := (*pinned.Field[locking.RWMutex](standby.Core, "stateLock")).(interface {
		TryRLock() bool
		RUnlock()
	})
	require.True(t, ok)
	free := state.TryRLock()
	if free {
		state.RUnlock()
	}
	forwarding.Unlock()
	require.False(t, free, "an unseal would not wait")
	require.NoError(t, <-done)
	closed, err := standby.barrier.inner.Sealed()
	require.NoError(t, err)
	require.True(t, closed)
}

// While nothing is wrong with its keys, f runs on a standby alone.
func TestWhileStandby(t *testing.T) {
	t.Parallel()
	store, active, standby, root := sharedStorage(t)
	ran := 0
	count := func() error { ran++; return nil }
	require.NoError(t, active.WhileStandby(count))
	require.Zero(t, ran)
	require.NoError(t, standby.WhileStandby(count))
	require.Equal(t, 1, ran)
	replaceKeys(t, store)
	require.NoError(t, standby.SealStandby(t.Context()))
	require.NoError(t, standby.WhileStandby(count))
	require.Equal(t, 1, ran, "not on a sealed one")
	_, err := request(active, logical.ReadOperation, "sys/policy", root, nil)
	require.NoError(t, err)
}
