// SPDX-License-Identifier: MPL-2.0

package grpcplugin_test

import (
	"context"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/grpcplugin"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/replicationtest"
)

// forwarding connects a host to a plugin whose Forward is a function.
func forwarding(t *testing.T, host *replicationtest.Host,
	do func(context.Context, replication.Host, replication.ForwardRequest) (*replication.ForwardResponse,
		error)) *grpcplugin.Client {
	t.Helper()
	client := connect(t, &grpcplugin.Plugin{
		Factory: func(h replication.Host, _ hclog.Logger) replication.Backend {
			return &replicationtest.Backend{
				StopFunc: func(context.Context) error { return nil },
				ForwardFunc: func(ctx context.Context, req replication.ForwardRequest) (*replication.ForwardResponse, error) {
					return do(ctx, h, req)
				},
			}
		},
		Host: host, PluginName: "x",
	})
	raw, err := client.Dispense(grpcplugin.Name)
	require.NoError(t, err)
	return raw.(*grpcplugin.Client)
}

func TestForwardedPayloadsHaveALimit(t *testing.T) {
	t.Parallel()
	tooLarge := make([]byte, replication.PayloadMax+1)
	for name, c := range map[string]struct {
		request []byte
		forward func(context.Context, replication.Host, replication.ForwardRequest) (*replication.ForwardResponse, error)
		kind    replication.Kind
	}{
		"request": {request: tooLarge, kind: replication.InvalidInput},
		"answer of the plugin": {kind: replication.Uncertain,
			forward: func(context.Context, replication.Host, replication.ForwardRequest) (*replication.ForwardResponse, error) {
				return &replication.ForwardResponse{Payload: tooLarge}, nil
			}},
		"request to the host": {kind: replication.InvalidInput,
			forward: func(ctx context.Context, h replication.Host, _ replication.ForwardRequest) (*replication.ForwardResponse,
				error) {
				_, err := h.Receive(ctx, replication.ReceiveRequest{Payload: tooLarge})
				return nil, err
			}},
		"answer of the host": {kind: replication.Uncertain,
			forward: func(ctx context.Context, h replication.Host, _ replication.ForwardRequest) (*replication.ForwardResponse,
				error) {
				_, err := h.Receive(ctx, replication.ReceiveRequest{})
				return nil, err
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := &replicationtest.Host{ReceiveFunc: func(context.Context, replication.ReceiveRequest) (
				*replication.ReceiveResponse, error) {
				return &replication.ReceiveResponse{Payload: tooLarge}, nil
			}}
			b := forwarding(t, host, c.forward)
			_, err := b.Forward(t.Context(), replication.ForwardRequest{Payload: c.request})
			require.Equal(t, c.kind, replication.KindOf(err), "%v", err)
			require.ErrorContains(t, err, "at most 67108864 are allowed")
		})
	}
}

func TestAnEndedContextForwardsNothing(t *testing.T) {
	t.Parallel()
	b := forwarding(t, &replicationtest.Host{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Forward(ctx, replication.ForwardRequest{})
	require.Equal(t, replication.Unreachable, replication.KindOf(err), "%v", err)
	require.ErrorIs(t, err, context.Canceled)
}

// The host does not wait any more and cannot know how far the plugin had come.
func TestLostAnswerIsUncertain(t *testing.T) {
	t.Parallel()
	inside := make(chan struct{})
	b := forwarding(t, &replicationtest.Host{}, func(ctx context.Context, _ replication.Host,
		_ replication.ForwardRequest) (*replication.ForwardResponse, error) {
		close(inside)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-inside; cancel() }()
	_, err := b.Forward(ctx, replication.ForwardRequest{})
	require.Equal(t, replication.Uncertain, replication.KindOf(err), "%v", err)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "may have been carried out")
}
