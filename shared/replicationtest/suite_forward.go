// SPDX-License-Identifier: MPL-2.0

package replicationtest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// receiver is a host that does no more than receive.
func receiver(do func(ctx context.Context, req replication.ReceiveRequest) ([]byte, error)) *Host {
	return &Host{ReceiveFunc: func(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse,
		error) {
		answer, err := do(ctx, req)
		if err != nil {
			return nil, err
		}
		return &replication.ReceiveResponse{Payload: answer}, nil
	}}
}

func forward(ctx context.Context, b replication.Backend, payload string) (string, error) {
	res, err := b.Forward(ctx, replication.ForwardRequest{Payload: []byte(payload)})
	if err != nil {
		return "", err
	}
	return string(res.Payload), nil
}

func testForward(t *testing.T, connect Connect) {
	b := connect(t, receiver(func(_ context.Context, req replication.ReceiveRequest) ([]byte, error) {
		return []byte(req.SecondaryID + " said " + string(req.Payload)), nil
	}))
	// Not UTF-8: the payload is sealed.
	for _, payload := range []string{"question\xff\x00", ""} {
		answer, err := forward(t.Context(), b, payload)
		require.NoError(t, err)
		require.Equal(t, "s said "+payload, answer)
	}
}

func testForwardErrors(t *testing.T, connect Connect) {
	var kind replication.Kind
	b := connect(t, receiver(func(context.Context, replication.ReceiveRequest) ([]byte, error) {
		return nil, replication.Errorf(kind, "the primary says no")
	}))
	for _, kind = range kinds {
		_, err := forward(t.Context(), b, "x")
		requireError(t, err, kind, "the primary says no")
	}
}

func testForwardDeadline(t *testing.T, connect Connect) {
	b := connect(t, receiver(func(ctx context.Context, _ replication.ReceiveRequest) ([]byte, error) {
		at, ok := ctx.Deadline()
		// Each crossing may lose a little of it.
		if left := time.Until(at); !ok || left > time.Hour || left < time.Minute {
			return nil, replication.Errorf(replication.InvalidInput, "the deadline arrived as %v", at)
		}
		return []byte("in time"), nil
	}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	answer, err := forward(ctx, b, "x")
	require.NoError(t, err)
	require.Equal(t, "in time", answer)
}

func testForwardCancel(t *testing.T, connect Connect) {
	entered, left := make(chan struct{}), make(chan struct{})
	b := connect(t, receiver(func(ctx context.Context, _ replication.ReceiveRequest) ([]byte, error) {
		close(entered)
		<-ctx.Done()
		close(left)
		return nil, replication.Errorf(replication.Uncertain, "nobody waits any more: %w", ctx.Err())
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	_, err := forward(ctx, b, "x")
	require.Equal(t, replication.Uncertain, replication.KindOf(err), "%v", err)
	require.ErrorIs(t, err, context.Canceled)
	<-left
}

// None is answered before all are there.
func testForwardConcurrent(t *testing.T, connect Connect) {
	const calls = 64
	var all sync.WaitGroup
	all.Add(calls)
	b := connect(t, receiver(func(_ context.Context, req replication.ReceiveRequest) ([]byte, error) {
		all.Done()
		all.Wait()
		return req.Payload, nil
	}))
	errs := make(chan error)
	for range calls {
		go func() {
			_, err := forward(t.Context(), b, "x")
			errs <- err
		}()
	}
	for range calls {
		require.NoError(t, <-errs)
	}
}
