// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/replicationtest"
)

// bounded serves a host with these bounds and returns who dials it.
func bounded(t *testing.T, host replication.Host, b callBounds) func() *grpc.ClientConn {
	t.Helper()
	s := grpc.NewServer(append(ServerOptions(), b.options()...)...)
	replicationv1.RegisterHostServer(s, &hostServer{host: host})
	l := bufconn.Listen(1 << 20)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return func() *grpc.ClientConn {
		conn, err := grpc.NewClient("passthrough:///x", append(DialOptions(),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))...)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
}

// held is a host whose calls of ApplyFrame wait.
type held struct {
	*replicationtest.Host
	under, most atomic.Int64
	came        chan struct{}
	release     chan struct{}
}

func newHeld() *held {
	h := &held{came: make(chan struct{}, 1000), release: make(chan struct{})}
	h.Host = &replicationtest.Host{ApplyFrameFunc: func(context.Context, *replication.Frame) (*replication.Cursor, error) {
		n := h.under.Add(1)
		defer h.under.Add(-1)
		for most := h.most.Load(); n > most && !h.most.CompareAndSwap(most, n); most = h.most.Load() {
		}
		h.came <- struct{}{}
		<-h.release
		return &replication.Cursor{}, nil
	}}
	return h
}

// A plugin that floods its host, over many connections, has no more calls there than the
// bound, and can go on when they have ended.
func TestFloodsOfCallsAreRefused(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]callBounds{"small": smallCalls, "bulk": bulkCalls} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHeld()
			dial := bounded(t, h, b)
			var wg sync.WaitGroup
			for range 2 {
				rpc := replicationv1.NewHostClient(dial())
				for range b.calls / 2 {
					wg.Go(func() {
						_, err := rpc.ApplyFrame(t.Context(), &replicationv1.ApplyFrameRequest{Frame: &commonv1.Frame{}})
						if err != nil {
							t.Error(err)
						}
					})
				}
			}
			for range b.calls / 2 * 2 {
				<-h.came
			}
			for range 3 {
				_, err := replicationv1.NewHostClient(dial()).ApplyFrame(t.Context(),
					&replicationv1.ApplyFrameRequest{Frame: &commonv1.Frame{}})
				require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
			}
			close(h.release)
			wg.Wait()
			rpc := replicationv1.NewHostClient(dial())
			require.Eventually(t, func() bool {
				_, err := rpc.ApplyFrame(t.Context(), &replicationv1.ApplyFrameRequest{Frame: &commonv1.Frame{}})
				return err == nil
			}, time.Minute, time.Millisecond)
			require.EqualValues(t, b.calls/2*2, h.most.Load())
		})
	}
}

// The plugin's own side keeps to the bounds: calls wait, and large messages go where they
// are taken.
func TestCallsWaitForRoom(t *testing.T) {
	t.Parallel()
	h := newHeld()
	conn := newHostConn(bounded(t, h, smallCalls)(), bounded(t, h, bulkCalls)())
	rpc := replicationv1.NewHostClient(conn)
	var wg sync.WaitGroup
	for _, size := range []int{1, smallCalls.message + 1} {
		frame := &commonv1.Frame{Payload: make([]byte, size)}
		for i := range 2 * bulkCalls.calls {
			wg.Go(func() {
				if _, err := rpc.ApplyFrame(t.Context(), &replicationv1.ApplyFrameRequest{Frame: frame}); err != nil {
					t.Error(fmt.Errorf("%d bytes, call %d: %w", size, i, err))
				}
			})
		}
	}
	for range 3 * bulkCalls.calls {
		<-h.came
	}
	close(h.release)
	wg.Wait()
	require.EqualValues(t, 3*bulkCalls.calls, h.most.Load())

	_, err := replicationv1.NewHostClient(conn.small).ApplyFrame(t.Context(), &replicationv1.ApplyFrameRequest{
		Frame: &commonv1.Frame{Payload: make([]byte, smallCalls.message+1)},
	})
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
}
