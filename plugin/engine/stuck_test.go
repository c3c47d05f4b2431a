// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// stuck is a host that does not answer one call, as when its storage hangs.
type stuck struct {
	replication.Host
	call atomic.Value
}

func (s *stuck) hangs(ctx context.Context, call string) error {
	if s.call.Load() != call {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *stuck) Node(ctx context.Context) (*replication.Node, error) {
	if err := s.hangs(ctx, "Node"); err != nil {
		return nil, err
	}
	return s.Host.Node(ctx)
}

func (s *stuck) GetState(ctx context.Context, key string) ([]byte, error) {
	if err := s.hangs(ctx, "GetState"); err != nil {
		return nil, err
	}
	return s.Host.GetState(ctx, key)
}

func (s *stuck) PutState(ctx context.Context, key string, value []byte) error {
	if err := s.hangs(ctx, "PutState"); err != nil {
		return err
	}
	return s.Host.PutState(ctx, key, value)
}

// The host kills a plugin that gives no status. So a status must not wait for an answer of the host, and no call may
// wait for another such call longer than its caller does.
func TestStatusWhileTheHostDoesNotAnswer(t *testing.T) {
	for call, waits := range map[string]func(context.Context, *engine.Engine) error{
		"Node": func(ctx context.Context, _ *engine.Engine) error {
			<-ctx.Done() // only the status itself asks
			return ctx.Err()
		},
		"GetState": func(ctx context.Context, e *engine.Engine) error { return e.Recover(ctx) },
		"PutState": func(ctx context.Context, e *engine.Engine) error {
			_, err := e.SecondaryToken(ctx, replication.SecondaryTokenRequest{ID: "new"})
			return err
		},
	} {
		t.Run(call, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				p := newCluster(t, n, "a", primaryAddr)
				p.enablePrimary(epoch(1, "one"))
				require.NoError(t, p.engine.Stop(t.Context()))
				host := &stuck{Host: p.host}
				p.engine = engine.New(p.cfg, host, hclog.NewNullLogger())
				require.NoError(t, p.engine.Start(t.Context(), p.start))

				host.call.Store(call)
				ctx, end := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- waits(ctx, p.engine) }()
				synctest.Wait()
				begun := time.Now()
				p.status()
				require.Less(t, time.Since(begun), 2*time.Second)
				if call == "GetState" {
					soon, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					require.ErrorIs(t, p.engine.Stop(soon), context.DeadlineExceeded)
					require.ErrorIs(t, p.engine.Recover(soon), context.DeadlineExceeded)
					require.ErrorIs(t, p.engine.Start(soon, p.start), context.DeadlineExceeded)
				}
				end()
				require.ErrorIs(t, <-ended, context.Canceled)
				host.call.Store("")
				require.NoError(t, p.engine.Start(t.Context(), p.start))
				require.NotEmpty(t, p.status().KnownPrimaryClusterAddrs)
			})
		})
	}
}
