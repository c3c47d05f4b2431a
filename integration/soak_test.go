// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/load"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

// soakEnv is how long the load lasts, 30s by default; a soak takes 1h.
const soakEnv = "VAULT_REPLICATION_SOAK"

// churners are the clients of the soak.
const churners = 6

// Whatever fails meanwhile, host and plugins on all sides hold no more memory, descriptors
// and goroutines in the end than in the middle of a long run. The load leaves nothing
// behind. Servers are not killed. Plugins of DR are; those of performance live all the
// time, and so show what a failing link leaves behind.
func TestNothingGrows(t *testing.T) {
	parallel(t)
	// So that there are samples enough to judge by.
	const least = 3
	ctx, s := t.Context(), soaked(t)
	end := time.Now().Add(soakDuration(t))
	for round := 0; time.Now().Before(end) || round < least*len(s.failures()); round++ {
		f := s.failures()[round%len(s.failures())]
		f.fail()
		s.calm(f.name)
		s.held.sample(t)
	}
	s.churn.Stop()
	t.Log(s.churn.Report())
	require.NoError(t, s.dr.WaitEqual(ctx, s.primary))
	require.NoError(t, s.performance.WaitCaughtUp(ctx, s.primary))
	cluster.Eventually(t, limit, "no connection is half open", func(context.Context) error {
		if n := s.link.HalfOpen(); n > 0 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	s.held.requireFlat(t)
}

// soak is a primary of both modes with a secondary of each, reached through one cable.
type soak struct {
	t                        *testing.T
	link                     *cable.Cable
	primary, dr, performance *cluster.Cluster
	churn                    *load.Churn
	held                     *holdings
	long                     bool
}

func soaked(t *testing.T) *soak {
	t.Helper()
	ctx, database := t.Context(), postgres.New(t)
	link, err := cable.Lay("")
	require.NoError(t, err)
	t.Cleanup(link.Close)
	// What a primary keeps of recent writes grows up to a bound of 256 MiB: with the least
	// bound it is reached at once.
	opts := cluster.Options{Binary: product(t), CA: cluster.NewTestCA(t), OpenProfiles: true, Name: "dr",
		ExtraHCL: `replication { logshipper_buffer_size = "1MiB" }`}
	s := &soak{t: t, link: link, dr: cluster.New(t, opts), long: os.Getenv(soakEnv) != ""}
	opts.Name = "performance"
	s.performance = cluster.New(t, opts)
	opts.Name, opts.ClusterAddr = "primary", "https://"+link.Addr()
	s.primary = cluster.New(t, opts)
	link.Aim(strings.TrimPrefix(s.primary.Node(0).ClusterAddress(), "https://"))
	root := s.primary.Node(0).APIClient()
	require.NoError(t, load.PrepareClients(ctx, root, churners, load.Database{URL: database.URL(), Admin: database.Admin,
		Password: database.Password}))
	require.NoError(t, s.primary.EnablePerformancePrimary(ctx))
	require.NoError(t, s.primary.EnableDRPrimary(ctx))
	require.NoError(t, s.performance.JoinPerformance(ctx, s.primary, "west"))
	require.NoError(t, s.dr.JoinDR(ctx, s.primary))
	s.churn, err = load.StartChurn(ctx, root, s.performance.Node(0).APIClient, churners)
	require.NoError(t, err)
	t.Cleanup(s.churn.Stop)
	s.held = &holdings{of: []*cluster.Cluster{s.primary, s.dr, s.performance}, series: map[holding]*holds{}}
	return s
}

// failure is something that fails, and is mended before fail returns.
type failure struct {
	name string
	fail func()
}

// failures come in this order. What takes the silence of ten seconds to be noticed comes
// in a long run alone.
func (s *soak) failures() []failure {
	list := []failure{
		{"the link was cut", func() { s.out(s.link.Cut) }},
		{"the primary's plugin died", func() { killPlugin(s.t, s.primary) }},
		{"the secondary's plugin died", func() { killPlugin(s.t, s.dr) }},
		{"a server stood still", func() { s.standstill(s.performance) }},
	}
	if s.long {
		list = append(list,
			failure{"nothing passed", func() { s.out(s.link.Freeze) }},
			failure{"it was half open, up", func() { s.out(func() { s.link.Swallow(cable.ToTarget) }) }},
			failure{"it was half open, down", func() { s.out(func() { s.link.Swallow(cable.FromTarget) }) }})
	}
	return list
}

// out lets the link fail until both secondaries have noticed.
func (s *soak) out(fail func()) {
	s.t.Helper()
	noticed(s.t, s.dr, fail)
	require.NoError(s.t, s.performance.Node(0).WaitPerformance(s.t.Context(), "notices too",
		func(s *cluster.PerformanceStatus) error {
			if s.State != "idle" {
				return errors.New("not yet")
			}
			return nil
		}))
	s.link.Mend()
}

// standstill stops a server until the others have gone on without it for a while.
func (s *soak) standstill(of *cluster.Cluster) {
	s.t.Helper()
	require.NoError(s.t, of.Node(0).Freeze())
	before, err := s.dr.Node(0).DRStatus(s.t.Context())
	require.NoError(s.t, err)
	cluster.Eventually(s.t, limit, "the others go on", func(ctx context.Context) error {
		write(s.t, s.primary.Node(0).APIClient(), load.Mount+"/still", map[string]any{"value": "x"})
		now, err := s.dr.Node(0).DRStatus(ctx)
		if err == nil && now.LastRemoteWAL < before.LastRemoteWAL+50 {
			err = fmt.Errorf("%d, and %d before", now.LastRemoteWAL, before.LastRemoteWAL)
		}
		return err
	})
	require.NoError(s.t, of.Node(0).Thaw())
}

// calm waits until both secondaries stream and every client has worked.
func (s *soak) calm(after string) {
	s.t.Helper()
	ctx, before := s.t.Context(), s.churn.Worked()
	require.NoError(s.t, s.performance.Node(0).WaitPerformanceStreaming(ctx), after)
	cluster.Eventually(s.t, limit, "the clients work after "+after, func(context.Context) error {
		if n := s.churn.Worked() - before; n < 20*churners {
			return fmt.Errorf("%d requests went well", n)
		}
		return nil
	})
	require.NoError(s.t, s.dr.Node(0).WaitStreaming(ctx), after)
	p, err := s.primary.Node(0).DRStatus(ctx)
	require.NoError(s.t, err)
	require.NoError(s.t, s.dr.Node(0).WaitDR(ctx, "follows after "+after, func(s *cluster.DRStatus) error {
		if s.LastRemoteWAL < p.LastDRWAL {
			return errors.New("not yet")
		}
		return nil
	}))
	require.NoError(s.t, s.performance.WaitCaughtUp(ctx, s.primary))
}

func soakDuration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(soakEnv)
	if text == "" {
		return 30 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "%s is how long the load lasts, such as 1h", soakEnv)
	return d
}
