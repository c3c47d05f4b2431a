// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// moment is one at which a cluster that becomes a secondary is killed.
type moment struct {
	name string
	// come waits for it; logs are looked at after what they held before.
	come func(context.Context, *way) error
	// after and before are outcomes that the moment rules out: the step was taken
	// long ago, or cannot have been taken.
	after, before bool
}

// way is how a cluster becomes a secondary.
type way struct {
	joining, primary       *cluster.Node
	joiningLog, primaryLog int64
}

// The lines that a server logs on its way, in their order.
const (
	stepBegins = "becoming a secondary: the data of this cluster is replaced"
	stepEnds   = "a change of role is complete"
)

func logged(text string) func(context.Context, *way) error {
	return func(ctx context.Context, w *way) error { return w.joining.WaitLog(ctx, w.joiningLog, text) }
}

// onDisk waits for a state of a file of the storage once the step has begun.
func onDisk(name string, state func(before, now fs.FileInfo) bool) func(context.Context, *way) error {
	return func(ctx context.Context, w *way) error {
		file := filepath.Join(w.joining.DataDir(), filepath.FromSlash(name))
		if err := w.joining.WaitLog(ctx, w.joiningLog, stepBegins); err != nil {
			return err
		}
		before, err := stat(file)
		if err != nil {
			return err
		}
		return w.joining.Watch(ctx, "writes "+name, func() (bool, error) {
			now, err := stat(file)
			return err == nil && state(before, now), err
		})
	}
}

// stat is nil for a file that is not there.
func stat(file string) (fs.FileInfo, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

func changed(before, now fs.FileInfo) bool {
	return now != nil && (before == nil || !now.ModTime().Equal(before.ModTime()) || now.Size() != before.Size())
}

func moments(storage cluster.Storage) []moment {
	list := []moment{
		{name: "the request was sent", before: true, come: func(context.Context, *way) error { return nil }},
		{name: "the primary hands its keys over", come: func(ctx context.Context, w *way) error {
			return w.primary.WaitLog(ctx, w.primaryLog, "a secondary joins")
		}},
		{name: "the step begins", come: logged(stepBegins)},
		{name: "the core is being sealed", come: logged("marked as sealed")},
		{name: "the core is sealed", come: logged("vault is sealed")},
		{name: "the new keyring is open", come: logged("post-unseal setup starting")},
		{name: "the mounts are loaded", after: true, come: logged("post-unseal setup complete")},
		{name: "the core is unsealed", after: true, come: logged("vault is unsealed")},
		{name: "the step has ended", after: true, come: logged(stepEnds)},
		{name: "the copy begins", after: true, come: logged("copying the primary's content")},
	}
	if storage == cluster.Raft {
		return append(list,
			moment{name: "the transaction is in raft's log", come: onDisk("raft/raft.db", changed)},
			moment{name: "the transaction is in storage", come: onDisk("vault.db", changed)},
		)
	}
	// Without transactions the rows are written one by one behind the record of the step.
	return append(list,
		moment{name: "the record of the step is being written",
			come: onDisk("replication/_step", func(_, now fs.FileInfo) bool { return now != nil })},
		moment{name: "the keyring is written", come: onDisk("core/_keyring", changed)},
		moment{name: "the mount table is written", come: onDisk("core/_mounts", changed)},
		moment{name: "the role is written", come: onDisk("core/replication/_role", changed)},
		moment{name: "the stored keys are written", come: onDisk("core/hsm/_barrier-unseal-keys", changed)},
		moment{name: "the seal configuration is written", come: onDisk("core/_seal-config", changed)},
	)
}

// A cluster that is killed anywhere on its way to a secondary is, after the
// restart, the cluster it was, with its shares and data, or the secondary, with
// the primary's shares, which goes on by itself.
func TestKilledAdoptionIsTheOldClusterOrTheNew(t *testing.T) {
	t.Parallel()
	for _, storage := range []cluster.Storage{cluster.Raft, cluster.File} {
		t.Run(string(storage), func(t *testing.T) {
			parallel(t)
			ca := cluster.NewTestCA(t)
			// Another split of the shares tells the clusters apart while sealed.
			primary := cluster.New(t, cluster.Options{
				Name: "primary", Binary: product(t), CA: ca, Storage: storage, Shares: 3, Threshold: 2,
			})
			require.NoError(t, primary.EnableDRPrimary(t.Context()))
			_, err := primary.Node(0).APIClient().Logical().Write("cubbyhole/primary", map[string]any{"of": "primary"})
			require.NoError(t, err)
			fill(t, primary, 1000)
			for _, m := range moments(storage) {
				t.Run(m.name, func(t *testing.T) {
					killAt(t, primary, storage, m)
				})
			}
		})
	}
}

// opens says whether the cluster's own shares unseal it, and it stays so.
func opens(ctx context.Context, c *cluster.Cluster) bool {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return c.Unseal(ctx) == nil
}

func killAt(t *testing.T, primary *cluster.Cluster, storage cluster.Storage, m moment) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c := cluster.New(t, cluster.Options{
		Name: strings.ReplaceAll(m.name, " ", "-"), Binary: product(t), CA: primary.Options().CA, Storage: storage,
	})
	node := c.Node(0)
	_, err := node.APIClient().Logical().WriteWithContext(ctx, "cubbyhole/mine", map[string]any{"still": "here"})
	require.NoError(t, err)
	token, err := primary.ActivationToken(ctx, c.ClusterID())
	require.NoError(t, err)
	w := &way{joining: node, primary: primary.Node(0)}
	w.joiningLog, err = w.joining.LogSize()
	require.NoError(t, err)
	w.primaryLog, err = w.primary.LogSize()
	require.NoError(t, err)

	answered := make(chan error, 1)
	client := node.APIClient()
	go func() {
		_, err := client.Logical().WriteWithContext(ctx, cluster.PathSecondaryEnable, map[string]any{
			"token": token, "ca_file": primary.GetCACertPEMFile(),
		})
		answered <- err
	}()
	require.NoError(t, m.come(ctx, w))
	require.NoError(t, node.Kill(ctx))
	answer := <-answered
	record, err := stat(filepath.Join(node.DataDir(), "replication", "_step"))
	require.NoError(t, err)

	require.NoError(t, node.Start(ctx))
	seal, err := node.Anonymous().Sys().SealStatusWithContext(ctx)
	require.NoError(t, err)
	isNew := seal.N == 3
	t.Logf("killed when %s: answered %t, cut among its rows %t, the secondary %t", m.name, answer == nil, record != nil,
		isNew)
	require.False(t, isNew && m.before, "the step was taken before it was asked for")
	require.True(t, isNew || !m.after, "the step that had ended was lost")

	require.False(t, isNew && record != nil, "a step that was cut counts as not taken")
	if !isNew && !opens(ctx, c) {
		// The transaction was in raft's log and not yet in the storage: the old
		// shares opened what the log then replaced, and the node sealed itself.
		require.Equal(t, cluster.Raft, storage)
		require.False(t, m.before)
		_ = node.Kill(ctx) // it may have ended by itself
		require.NoError(t, node.Start(ctx))
		isNew = true
	}
	if isNew {
		c.Adopt(primary)
		require.NoError(t, c.Unseal(ctx), "the primary's shares open it")
		requireSecondary(t, c)
	} else {
		requireUntouched(t, c)
		// The id is given to the old cluster, and its token may be spent.
		token, err := primary.ActivationToken(ctx, c.ClusterID()+"-again")
		require.NoError(t, err)
		_, err = node.APIClient().Logical().WriteWithContext(ctx, cluster.PathSecondaryEnable, map[string]any{
			"token": token, "ca_file": primary.GetCACertPEMFile(),
		})
		require.NoError(t, err, "it may be enabled again")
		c.Adopt(primary)
		require.NoError(t, node.WaitRole(ctx, "secondary"))
	}
	began := time.Now()
	require.NoError(t, node.WaitStreaming(ctx))
	_, err = primary.Node(0).APIClient().Logical().WriteWithContext(ctx, "cubbyhole/primary",
		map[string]any{"of": fmt.Sprint(began)})
	require.NoError(t, err)
	require.NoError(t, c.WaitEqual(ctx, primary))
	t.Logf("streams and is equal after %s", time.Since(began).Round(time.Millisecond))
}
