// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/routing"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/routes"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Writes to an engine that is reloaded, again and again, all reach the primary: none
// meets a backend that has no wrapper yet.
func TestWritesThatMeetAReload(t *testing.T) {
	t.Parallel()
	primary, secondary, primaryRoot, root, d := routingPair(t)
	live := secondary.Live(func(e *vault.MountEntry, b logical.Backend) logical.Backend {
		return routing.Options{Forwarder: d}.Wrap(routes.MountOf(e), b)
	}, nil)
	const writers, reloads = 8, 100
	var wg sync.WaitGroup
	stop := make(chan struct{})
	written := make([]int, writers)
	failed := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			for failed[w] == nil {
				_, failed[w] = request(secondary, logical.UpdateOperation, fmt.Sprintf("secret/%d-%d", w, written[w]), root,
					map[string]any{"v": "1"})
				written[w]++
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	first := secondary.BackendOf("secret/")
	for range reloads {
		n, err := live.ReloadPlugin(t.Context(), "unknown", "kv")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.NoError(t, live.ReloadMounts(t.Context(), []string{"secret", "sys/"}))
	}
	close(stop)
	wg.Wait()
	require.NotSame(t, first, secondary.BackendOf("secret/"))
	for w := range writers {
		require.NoError(t, failed[w])
		require.NotZero(t, written[w])
		for i := range written[w] {
			resp, err := request(primary, logical.ReadOperation, fmt.Sprintf("secret/%d-%d", w, i), primaryRoot, nil)
			require.NoError(t, err)
			require.NotNil(t, resp, "the secondary has said that it was written")
		}
	}
	require.Error(t, live.ReloadMounts(t.Context(), []string{"nowhere/"}))
}

// A mount without a backend gets one when its plugin is there.
func TestReloadOfAnAbsentPlugin(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, func(p *pair) { p.prepare("sys/mounts/early", map[string]any{"type": "transit"}) })
	delete(*pinned.Field[map[string]logical.Factory](p.secondary.Core, "logicalBackends"), "transit")
	p.open()
	n, err := p.live.ReloadPlugin(t.Context(), "secret", "transit")
	require.Error(t, err)
	require.Zero(t, n)
	factories := *pinned.Field[map[string]logical.Factory](p.secondary.Core, "logicalBackends")
	factories["transit"] = pairConfig().LogicalBackends["transit"]
	n, err = p.live.ReloadPlugin(t.Context(), "auth", "transit")
	require.NoError(t, err)
	require.Zero(t, n, "it is a secrets engine")
	n, err = p.live.ReloadPlugin(t.Context(), "secret", "transit")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = p.ask(logical.ListOperation, "early/keys", p.root, nil)
	require.NoError(t, err)
	require.Empty(t, p.follower.Lacks())
}

// A mount that went while its new backend was made does not come back with it.
func TestReloadOfAMountThatGoes(t *testing.T) {
	t.Parallel()
	p := newPair(t, pairConfig, func(p *pair) { p.prepare("sys/mounts/a", map[string]any{"type": "kv"}) }).open()
	entry := onlyEntry(t, p, "a/")
	old, ok := p.secondary.Router().At("a/")
	require.True(t, ok)
	view := vault.NewBarrierView(p.secondary.barrier, entry.ViewPath())
	require.NoError(t, p.live.Unmount(context.Background(), vaultname.Mounts, entry.UUID))
	require.Error(t, p.secondary.Router().Replace(entry, old, nil, view))
	_, err := p.ask(logical.ReadOperation, "a/x", p.root, nil)
	require.ErrorIs(t, err, logical.ErrUnsupportedPath)
}
