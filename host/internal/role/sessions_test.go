// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// slow is a plugin that takes its role up when it may.
type slow struct {
	replication.Backend
	mayGo chan struct{}
}

func (s *slow) Start(context.Context, replication.StartRequest) error {
	<-s.mayGo
	return nil
}

func (s *slow) Stop(context.Context) error { return nil }

type slowPlugins struct {
	Plugins
	b *slow
}

func (p slowPlugins) Running(replication.Mode) replication.Backend { return p.b }
func (p slowPlugins) Backend(context.Context, replication.Mode) (replication.Backend, error) {
	return p.b, nil
}

// A change of role is answered before the plugin has the new role. Who asks for the plugin then
// gets it when it has: "not running on this node" would be no answer on the one node there is.
func TestRequestsWaitUntilThePluginHasItsRole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &slow{mayGo: make(chan struct{})}
		ss := &sessions{roles: &roles{record: disabledRecord(), duty: t.Context()}, plugins: slowPlugins{b: b}}
		ss.roles.record.DR.Role = replication.Secondary
		got := make(chan error, 1)
		ask := func() {
			_, err := ss.backend(t.Context(), replication.DR)
			got <- err
		}
		for range 2 { // and once more, after a further change of role
			go ss.startPlugin(t.Context(), replication.DR)
			go ask()
			synctest.Wait()
			require.Empty(t, got, "it has no role yet")
			b.mayGo <- struct{}{}
			require.NoError(t, <-got)
			ask()
			require.NoError(t, <-got, "from now on nobody waits")
			ss.begun.end(replication.DR)
		}
		// A plugin that hangs keeps nobody for ever: it is asked, and answers what it can.
		ask()
		require.NoError(t, <-got)
	})
}
