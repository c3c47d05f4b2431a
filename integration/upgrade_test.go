// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/content"
)

// former is the server of the release before.
func former(t *testing.T) string {
	t.Helper()
	return cluster.OldBinary(t, "vault-replication")
}

// Storage that the release before has written, without replication, has under this one what
// it had.
func TestUpgradeAlone(t *testing.T) {
	t.Parallel()
	for _, storage := range []cluster.Storage{cluster.Raft, cluster.File} {
		t.Run(string(storage), func(t *testing.T) {
			parallel(t)
			c := cluster.New(t, cluster.Options{Name: "alone", Binary: former(t), Storage: storage})
			v, before := loadedCluster(t, c)
			upgrade(t, c, false)
			requireSameButVersions(t, before, v, "under this release")
		})
	}
}

// A pair of the release before goes on under this one without a copy, whichever cluster is
// started with it first. Between the two the clusters stream, and forward, with
// one of each release.
func TestUpgradePair(t *testing.T) {
	t.Parallel()
	for _, storage := range []cluster.Storage{cluster.Raft, cluster.File} {
		for _, mode := range []string{"DR", "performance"} {
			for _, order := range []string{"secondary first", "primary first"} {
				t.Run(fmt.Sprintf("%s, %s, %s", storage, mode, order), func(t *testing.T) {
					parallel(t)
					p := &upgradedPair{performance: mode == "performance"}
					p.start(t, storage)
					first, second := p.secondary, p.primary
					if order == "primary first" {
						first, second = second, first
					}
					p.upgradeUnderLoad(t, first)
					if first == p.primary {
						p.requireNoneOlderJoins(t)
					}
					p.upgradeUnderLoad(t, second)
					require.Equal(t, 1, copiesOf(t, p.secondary), "the first copy is the only one")
					requireSameButVersions(t, p.before, p.content, "on the primary under this release")
					p.promote(t)
				})
			}
		}
	}
}

// upgradedPair is a primary and a secondary that begin with the release before.
type upgradedPair struct {
	performance        bool
	primary, secondary *cluster.Cluster
	content            *content.Vault
	before             map[string]any
	written            atomic.Int64
}

func (p *upgradedPair) start(t *testing.T, storage cluster.Storage) {
	t.Helper()
	ctx := t.Context()
	// A performance secondary of the release before logs that at each activation.
	opts := cluster.Options{Name: "primary", Binary: former(t), CA: cluster.NewTestCA(t), Storage: storage,
		MayLog: []string{"could not store the addresses of the primary"}}
	p.primary = cluster.New(t, opts)
	opts.Name = "secondary"
	p.secondary = cluster.New(t, opts)
	require.NoError(t, p.client(p.primary).Sys().MountWithContext(ctx, "upgrade", &api.MountInput{Type: "kv"}))
	p.content, p.before = loadedCluster(t, p.primary)
	if p.performance {
		require.NoError(t, p.primary.EnablePerformancePrimary(ctx))
		require.NoError(t, p.secondary.JoinPerformance(ctx, p.primary, "west"))
	} else {
		require.NoError(t, p.primary.EnableDRPrimary(ctx))
		require.NoError(t, p.secondary.JoinDR(ctx, p.primary))
	}
	// A server that is killed takes with it what its plugin has said and it has not logged. The release before may lose
	// that line by itself, when a new session begins as the copy ends.
	soon, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	require.NoError(t, p.secondary.Node(0).WaitLog(soon, 0, copied))
}

func (p *upgradedPair) client(c *cluster.Cluster) *api.Client { return c.Node(0).APIClient() }

// upgradeUnderLoad ends one of the clusters while the primary is written to, and starts it
// with this release. A secondary is killed. A primary is stopped: one that is killed may doubt
// what it had in hand, and then its secondaries compare with it, in each release.
func (p *upgradedPair) upgradeUnderLoad(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	from := p.written.Load()
	go func() {
		for ctx.Err() == nil {
			if err := p.write(ctx, p.client(p.primary)); err != nil && c != p.primary && ctx.Err() == nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	stop := func() {
		cancel()
		require.NoError(t, <-ended)
	}
	defer cancel()
	cluster.Eventually(t, time.Minute, "writes under way", func(context.Context) error {
		if p.written.Load() < from+20 {
			return fmt.Errorf("%d written", p.written.Load()-from)
		}
		return nil
	})
	upgrade(t, c, c == p.primary)
	p.requireStreaming(t)
	stop()
	p.requireEqual(t)
}

// write puts one key more.
func (p *upgradedPair) write(ctx context.Context, c *api.Client) error {
	n := p.written.Load() + 1
	_, err := c.Logical().WriteWithContext(ctx, fmt.Sprintf("upgrade/%d", n), map[string]any{"n": fmt.Sprint(n)})
	if err == nil {
		p.written.Store(n)
	}
	return err
}

func (p *upgradedPair) requireStreaming(t *testing.T) {
	t.Helper()
	if p.performance {
		require.NoError(t, p.primary.Node(0).WaitPerformanceRole(t.Context(), "primary"))
		require.NoError(t, p.secondary.Node(0).WaitPerformanceStreaming(t.Context()))
		return
	}
	require.NoError(t, p.primary.Node(0).WaitRole(t.Context(), "primary"))
	require.NoError(t, p.secondary.Node(0).WaitStreaming(t.Context()))
}

// requireEqual waits until the secondary has all, and what it forwards is carried out.
func (p *upgradedPair) requireEqual(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	if !p.performance {
		require.NoError(t, p.secondary.WaitEqual(ctx, p.primary))
		return
	}
	require.NoError(t, p.secondary.WaitCaughtUp(ctx, p.primary))
	require.NoError(t, p.write(ctx, p.client(p.secondary)))
	p.requireAllWritten(t, p.primary)
	p.requireAllWritten(t, p.secondary)
	status, err := p.secondary.Node(0).PerformanceStatus(ctx)
	require.NoError(t, err)
	require.Empty(t, status.Lacks)
	// A login, a policy and a mount are forwarded otherwise than a value, and followed.
	name := fmt.Sprintf("upgrade-%d", p.written.Load())
	s := p.client(p.secondary)
	require.NoError(t, s.Sys().PutPolicyWithContext(ctx, name, `path "upgrade/*" { capabilities = ["read"] }`))
	require.NoError(t, s.Sys().MountWithContext(ctx, name, &api.MountInput{Type: "kv"}))
	write(t, s, name+"/a", map[string]any{"n": "1"})
	require.NoError(t, s.Sys().UnmountWithContext(ctx, name))
	require.NoError(t, s.Sys().DeletePolicyWithContext(ctx, name))
}

func (p *upgradedPair) requireAllWritten(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	n := p.written.Load()
	secret, err := p.client(c).Logical().ReadWithContext(t.Context(), fmt.Sprintf("upgrade/%d", n))
	require.NoError(t, err)
	require.NotNil(t, secret, "key %d", n)
	require.Equal(t, fmt.Sprint(n), secret.Data["n"])
}

// requireNoneOlderJoins lets a cluster of the release before try to follow a primary of this
// one. It is refused if its Vault is the older one.
func (p *upgradedPair) requireNoneOlderJoins(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	opts := p.primary.Options()
	late := cluster.New(t, cluster.Options{Name: "late", Binary: former(t), CA: opts.CA, Storage: opts.Storage})
	newer, err := p.primary.Node(0).Health(ctx)
	require.NoError(t, err)
	older, err := late.Node(0).Health(ctx)
	require.NoError(t, err)
	if newer.Version == older.Version {
		return
	}
	if p.performance {
		err = late.JoinPerformance(ctx, p.primary, "late")
	} else {
		err = late.JoinDR(ctx, p.primary)
	}
	require.ErrorContains(t, err, "upgrade the secondary first")
	_, err = late.Node(0).APIClient().Logical().ReadWithContext(ctx, "sys/mounts")
	require.NoError(t, err, "nothing was changed")
}

// promote makes the secondary the primary. It has all that the primary had.
func (p *upgradedPair) promote(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, p.primary.Stop(ctx, true))
	if p.performance {
		write(t, p.client(p.secondary), cluster.PathPerformance+"secondary/promote", nil)
		require.NoError(t, p.secondary.Node(0).WaitPerformanceRole(ctx, "primary"))
	} else {
		require.NoError(t, p.secondary.Promote(ctx))
		require.NoError(t, p.secondary.Node(0).WaitRole(ctx, "primary"))
		requireSameButVersions(t, p.before, p.content.On(p.client(p.secondary)), "on the promoted secondary")
	}
	p.requireAllWritten(t, p.secondary)
	require.NoError(t, p.write(ctx, p.client(p.secondary)))
}

// loadedCluster loads a cluster with content of each kind.
func loadedCluster(t *testing.T, c *cluster.Cluster) (v *content.Vault, all map[string]any) {
	t.Helper()
	v = &content.Vault{Root: c.Node(0).APIClient(), Notes: map[string]string{}, AuditFile: artifact(t, "audit.log")}
	require.NoError(t, content.Load(t.Context(), v))
	all, err := content.Snapshot(t.Context(), v)
	require.NoError(t, err)
	return v, all
}

// upgrade ends a cluster, gracefully or by kill -9, and starts it with this release.
func upgrade(t *testing.T, c *cluster.Cluster, graceful bool) {
	t.Helper()
	c.Use(product(t))
	require.NoError(t, c.Restart(t.Context(), graceful))
}

// versionOfBuiltin is a difference that Vault makes itself when it is upgraded.
var versionOfBuiltin = regexp.MustCompile(`running_plugin_version: v\S+\+builtin\.vault, was v\S+\+builtin\.vault$`)

func requireSameButVersions(t *testing.T, before map[string]any, v *content.Vault, when string) {
	t.Helper()
	now, err := content.Snapshot(t.Context(), v)
	require.NoError(t, err, when)
	require.Empty(t, slices.DeleteFunc(content.Diff(before, now), versionOfBuiltin.MatchString), when)
}
