// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine"
	"github.com/vault-replication/vault-replication/plugin/engine/internal/enginetest"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// cluster is an engine with its host and role.
type cluster struct {
	t      *testing.T
	host   *enginetest.Host
	engine *engine.Engine
	cfg    engine.Config
	start  replication.StartRequest
	// onlyGiven is the setting of its server.
	onlyGiven bool
}

const (
	primaryAddr   = "https://a.test:8201"
	secondaryAddr = "https://b.test:8201"
)

func epoch(generation uint64, id string) replication.Epoch {
	return replication.Epoch{Generation: generation, ID: id}
}

// newCluster starts a cluster without a role. It stops at the end of the test:
// the bubble fails if anything of it is left.
func newCluster(t *testing.T, n *network, name, addr string) *cluster {
	c := &cluster{t: t, host: enginetest.NewHost(n.Network, name, addr), cfg: engine.Config{Mode: n.mode}}
	c.start = replication.StartRequest{Role: replication.Disabled}
	c.restart()
	t.Cleanup(func() { require.NoError(t, c.engine.Stop(t.Context())) })
	return c
}

// restart is a new process of the plugin.
func (c *cluster) restart() {
	if c.engine != nil {
		require.NoError(c.t, c.engine.Stop(c.t.Context()))
	}
	c.engine = engine.New(c.cfg, c.host, hclog.NewNullLogger())
	c.host.SetBackend(c.engine)
	require.NoError(c.t, c.engine.Start(c.t.Context(), c.start))
}

// die ends a cluster as a loss of its site does.
func (c *cluster) die() {
	require.NoError(c.t, c.engine.Stop(c.t.Context()))
	c.host.HideAPI(true)
}

// carryOut carries a transition out as the host does.
func (c *cluster) carryOut(tr *replication.Transition, e replication.Epoch) {
	require.NoError(c.t, c.engine.Stop(c.t.Context()))
	c.host.CarryOut(tr, e)
	c.start = replication.StartRequest{Role: tr.Role, ClusterID: tr.ClusterID, OnlyGiven: c.onlyGiven}
	require.NoError(c.t, c.engine.Start(c.t.Context(), c.start))
}

func (c *cluster) enablePrimary(e replication.Epoch) {
	tr, err := c.engine.EnablePrimary(c.t.Context(), replication.EnablePrimaryRequest{})
	require.NoError(c.t, err)
	c.carryOut(tr, e)
}

func (c *cluster) token(id string) []byte {
	resp, err := c.engine.SecondaryToken(c.t.Context(), replication.SecondaryTokenRequest{ID: id})
	require.NoError(c.t, err)
	return resp.Bundle
}

func (c *cluster) join(bundle []byte, id string) {
	tr, err := c.engine.EnableSecondary(c.t.Context(), replication.EnableSecondaryRequest{Bundle: bundle, ID: id,
		Challenge: []byte("challenge")})
	require.NoError(c.t, err)
	c.carryOut(tr, replication.Epoch{})
}

func (c *cluster) status() *replication.Status {
	st, err := c.engine.Status(c.t.Context())
	require.NoError(c.t, err)
	return st
}

// eventually lets the bubble's clock run until a condition holds.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); ; {
		synctest.Wait()
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			require.FailNow(t, "did not happen: "+what)
		}
		<-time.After(100 * time.Millisecond)
	}
}

func (c *cluster) awaitState(s replication.State) {
	c.t.Helper()
	eventually(c.t, 10*time.Minute, fmt.Sprintf("state %s, last: %+v", s, c.status()),
		func() bool { return c.status().State == s })
}

func awaitEqual(t *testing.T, p, s *cluster) {
	t.Helper()
	eventually(t, 10*time.Minute, "equal content", func() bool {
		return s.status().State == replication.StreamWALs && maps.Equal(p.host.Content(), s.host.Content())
	})
}

// pair is a primary with ten keys and a secondary that has joined it.
func pair(t *testing.T, n *network) (p, s *cluster) {
	p, s = apart(t, n)
	s.host.Write("own", "data of before, to be gone")
	s.join(p.token("sec"), "sec")
	return p, s
}

// network is a network of clusters that replicate in one mode.
type network struct {
	*enginetest.Network
	mode replication.Mode
}

// bubble runs a test in each mode, in fake time. The test fails if it leaves anything running.
func bubble(t *testing.T, test func(*testing.T, *network)) {
	t.Parallel()
	for _, mode := range []replication.Mode{replication.DR, replication.Performance} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, &network{Network: enginetest.NewNetwork(), mode: mode}) })
		})
	}
}
