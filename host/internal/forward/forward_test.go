// SPDX-License-Identifier: MPL-2.0

package forward

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/forward/envelope"
	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// relation is a secondary and its primary, whose journal is a number.
type relation struct {
	*Client
	server   *Server
	sequence uint64
	wrote    []replication.Position
	waited   []replication.Position
	arrives  bool
	cut      error
}

func newRelation() *relation {
	r := &relation{arrives: true}
	key := bytes.Repeat([]byte{1}, envelope.KeySize)
	r.server = NewServer(ServerOptions{
		KeyOf:    func(context.Context, string) ([]byte, error) { return bytes.Clone(key), nil },
		SetID:    func() string { return "set" },
		Position: func() (replication.Position, error) { return r.position(), nil },
		Logger:   hclog.NewNullLogger(),
	})
	r.Client = NewClient(ClientOptions{
		Key: key, SetID: "set", SecondaryID: "eu", BestEffortWait: time.Minute,
		Carry: func(ctx context.Context, m []byte) ([]byte, error) {
			if r.cut != nil {
				return nil, r.cut
			}
			return r.server.Serve(ctx, "eu", m)
		},
		Wrote: func(at replication.Position) { r.wrote = append(r.wrote, at) },
		Wait: func(_ context.Context, at replication.Position) error {
			r.waited = append(r.waited, at)
			if r.arrives {
				return nil
			}
			return context.DeadlineExceeded
		},
	})
	return r
}

func (r *relation) position() replication.Position {
	return replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "e"}, Sequence: r.sequence}
}

func TestCallBringsBodyErrorAndDeadline(t *testing.T) {
	t.Parallel()
	r := newRelation()
	r.server.Handle("echo", func(ctx context.Context, id string, body []byte) ([]byte, error) {
		_, bounded := ctx.Deadline()
		require.True(t, bounded)
		require.Equal(t, "eu", id)
		return append([]byte("re: "), body...), nil
	})
	r.server.Handle("refuse", func(context.Context, string, []byte) ([]byte, error) {
		return nil, replication.Errorf(replication.NotFound, "there is no such thing")
	})
	r.server.Handle("panic", func(context.Context, string, []byte) ([]byte, error) { panic("a fault") })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, at, err := r.Call(ctx, "echo", []byte("hello"))
	require.NoError(t, err)
	require.Equal(t, "re: hello", string(got))
	require.Equal(t, r.position(), at, "what was found there is to be waited for, too")

	_, _, err = r.Call(ctx, "refuse", nil)
	require.Equal(t, replication.NotFound, replication.KindOf(err))
	require.EqualError(t, err, "there is no such thing")
	_, _, err = r.Call(ctx, "panic", nil)
	require.Equal(t, replication.Internal, replication.KindOf(err))
	_, _, err = r.Call(ctx, "invented", nil)
	require.Equal(t, replication.InvalidInput, replication.KindOf(err))
	_, _, err = r.Call(ctx, "echo", make([]byte, bodyMax+1))
	require.Equal(t, replication.InvalidInput, replication.KindOf(err))
	r.cut = replication.Errorf(replication.Unreachable, "no session")
	_, _, err = r.Call(ctx, "echo", nil)
	require.Equal(t, replication.Unreachable, replication.KindOf(err))
}

// What an answer speaks of is waited for, and the answer to a write that is ahead of this
// cluster says so.
func TestDoWaitsForItsOwnWrite(t *testing.T) {
	t.Parallel()
	r := newRelation()
	r.server.HandleRequests(func(_ context.Context, _ string, req *wire.Request) *wire.Answer {
		switch req.Logical.Operation {
		case logical.UpdateOperation:
			r.sequence++
			return &wire.Answer{}
		case logical.PatchOperation:
			return &wire.Answer{}
		case logical.DeleteOperation:
			r.sequence++
			return &wire.Answer{Response: logical.ErrorResponse("in use"), Err: logical.ErrInvalidRequest}
		default:
			return &wire.Answer{Response: &logical.Response{Data: map[string]any{"a": "b"}}}
		}
	})
	do := func(op logical.Operation) *wire.Answer {
		a, err := r.Do(t.Context(), &wire.Request{Logical: &logical.Request{Operation: op, Path: "a"}, MountPath: "kv/"})
		require.NoError(t, err)
		return a
	}
	require.Equal(t, "b", do(logical.ReadOperation).Response.Data["a"])
	require.Equal(t, []replication.Position{r.position()}, r.waited, "what is told of has been done before")
	require.Empty(t, r.wrote)
	r.waited = nil
	require.Nil(t, do(logical.UpdateOperation).Response)
	require.Equal(t, []replication.Position{r.position()}, r.waited)
	do(logical.PatchOperation)
	require.Equal(t, []replication.Position{r.position(), r.position()}, r.waited, "a write that changed nothing")

	r.arrives = false
	require.Empty(t, do(logical.ReadOperation).Response.Warnings)
	a := do(logical.UpdateOperation)
	require.Len(t, a.Response.Warnings, 1)
	a = do(logical.DeleteOperation)
	require.ErrorIs(t, a.Err, logical.ErrInvalidRequest)
	require.Empty(t, a.Response.Warnings, "an error is the backend's own")
}

// The taking up of an unmount revokes leases, and is before their writes in the
// stream: what it waits for must not wait for it. That the answer is ahead of this
// cluster is noted all the same.
func TestDoDoesNotWaitForWhatALeaseWrote(t *testing.T) {
	t.Parallel()
	for _, op := range []logical.Operation{logical.RenewOperation, logical.RevokeOperation} {
		r := newRelation()
		r.arrives = false
		r.server.HandleRequests(func(context.Context, string, *wire.Request) *wire.Answer {
			r.sequence++
			return &wire.Answer{Response: &logical.Response{Data: map[string]any{"a": "b"}}}
		})
		a, err := r.Do(t.Context(), &wire.Request{Logical: &logical.Request{Operation: op, Path: "a"}, MountPath: "pki/"})
		require.NoError(t, err)
		require.Equal(t, "b", a.Response.Data["a"])
		require.Empty(t, a.Response.Warnings)
		require.Empty(t, r.waited)
		require.Equal(t, []replication.Position{r.position()}, r.wrote)
	}
}

// A peer that never answers, on a link that is frozen, holds nobody longer than the
// caller's own time, and the primary is given a little less than that.
func TestPeerThatNeverAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRelation()
		never := func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			left := time.Until(deadline)
			require.Less(t, left, 20*time.Second)
			require.Greater(t, left, 18*time.Second)
			<-ctx.Done()
			return nil, replication.Errorf(replication.Unavailable, "the primary gave up in time")
		}
		r.server.Handle("wait", never)
		carry := r.o.Carry
		frozen := func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			// What a link says is its own matter.
			return nil, replication.Errorf(replication.Uncertain, "the answer was lost")
		}
		call := func() (time.Duration, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			started := time.Now()
			_, _, err := r.Call(ctx, "wait", nil)
			return time.Since(started), err
		}
		r.o.Carry = frozen
		for range 2 { // in the handshake, and those who wait for it
			took, err := call()
			require.Equal(t, 20*time.Second, took)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, replication.Uncertain, replication.KindOf(err))
		}
		r.o.Carry = carry
		took, err := call()
		require.Less(t, took, 20*time.Second)
		require.ErrorContains(t, err, "gave up in time")
		r.o.Carry = frozen
		took, err = call()
		require.Equal(t, 20*time.Second, took)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// A primary that is sealed, or none any more, has not looked at what it was sent.
func TestPrimaryThatDoesNotServe(t *testing.T) {
	t.Parallel()
	r := newRelation()
	r.server.Handle("do", func(context.Context, string, []byte) ([]byte, error) {
		require.Fail(t, "it was carried out")
		return nil, nil
	})
	sealed := errors.New("Vault is sealed")
	r.server.o.Position = func() (replication.Position, error) { return replication.Position{}, sealed }
	_, _, err := r.Call(t.Context(), "do", nil)
	require.Equal(t, replication.Unreachable, replication.KindOf(err))
	for _, given := range []error{sealed, replication.Errorf(replication.InvalidInput, "no primary now")} {
		server := NewServer(ServerOptions{
			KeyOf: func(context.Context, string) ([]byte, error) { return nil, given },
			SetID: func() string { return "set" }, Logger: hclog.NewNullLogger(),
		})
		_, err = server.Serve(t.Context(), "eu", []byte("x"))
		require.Equal(t, replication.Unreachable, replication.KindOf(err))
	}
}

// What cannot be opened was perhaps executed: nobody may try it again by himself.
func TestAnswerThatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	r := newRelation()
	executed := 0
	r.server.Handle("count", func(context.Context, string, []byte) ([]byte, error) { executed++; return nil, nil })
	_, _, err := r.Call(t.Context(), "count", nil)
	require.NoError(t, err)
	carry := r.o.Carry
	r.o.Carry = func(ctx context.Context, m []byte) ([]byte, error) {
		answer, err := carry(ctx, m)
		answer[len(answer)-1] ^= 1
		return answer, err
	}
	_, _, err = r.Call(t.Context(), "count", nil)
	require.Equal(t, replication.Uncertain, replication.KindOf(err))
	require.True(t, errors.Is(err, envelope.ErrForged))
	require.Equal(t, 2, executed, "it was sent again")
}
