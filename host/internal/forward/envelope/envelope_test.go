// SPDX-License-Identifier: MPL-2.0

package envelope

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
)

var key = bytes.Repeat([]byte{7}, KeySize)

// hosts are a secondary and a primary with a plugin between that a test controls.
type hosts struct {
	*Client
	server *Server
	calls  atomic.Int64
	carry  Carry
}

func pair() *hosts {
	h := &hosts{Client: NewClient(key, Binding{"set", "eu"})}
	h.restart()
	h.carry = func(ctx context.Context, m []byte) ([]byte, error) { return h.deliver(ctx, "eu", m) }
	return h
}

// restart makes the primary forget its sessions.
func (h *hosts) restart() {
	h.server = NewServer(func() string { return "set" }, func(_ context.Context, id string) ([]byte, error) {
		if id == "revoked" {
			return nil, errors.New("revoked")
		}
		return bytes.Clone(key), nil
	})
}

func (h *hosts) deliver(ctx context.Context, id string, m []byte) ([]byte, error) {
	return h.server.Serve(ctx, id, m, func(_ context.Context, plain []byte) []byte {
		h.calls.Add(1)
		return append([]byte("re: "), plain...)
	})
}

func (h *hosts) call(plain string) (string, error) {
	got, err := h.Call(context.Background(), h.carry, []byte(plain))
	return string(got), err
}

func TestCall(t *testing.T) {
	t.Parallel()
	h := pair()
	for _, plain := range []string{"", "one", string(make([]byte, 1<<20))} {
		got, err := h.call(plain)
		require.NoError(t, err)
		require.Equal(t, "re: "+plain, got)
	}
	require.EqualValues(t, 3, h.calls.Load())
}

func TestNothingIsReadable(t *testing.T) {
	t.Parallel()
	h := pair()
	inner := h.carry
	h.carry = func(ctx context.Context, m []byte) ([]byte, error) {
		answer, err := inner(ctx, m)
		require.NotContains(t, string(m), "password")
		require.NotContains(t, string(answer), "password")
		return answer, err
	}
	_, err := h.call("password")
	require.NoError(t, err)
}

// A primary that has restarted knows no session, and has executed nothing of it.
func TestRestartOfThePrimary(t *testing.T) {
	t.Parallel()
	h := pair()
	_, err := h.call("before")
	require.NoError(t, err)
	h.restart()
	got, err := h.call("after")
	require.NoError(t, err)
	require.Equal(t, "re: after", got)
	require.EqualValues(t, 2, h.calls.Load())
}

// Hellos that were kept do not have a request carried out twice.
func TestOldHellosEndNoSession(t *testing.T) {
	t.Parallel()
	h := pair()
	var hellos [][]byte
	honest := h.carry
	h.carry = func(_ context.Context, m []byte) ([]byte, error) {
		hellos = append(hellos, bytes.Clone(m))
		return nil, context.DeadlineExceeded
	}
	for range 4 * sessionsMax {
		_, err := h.call("x")
		require.Error(t, err)
	}
	attacked := false
	h.carry = func(ctx context.Context, m []byte) ([]byte, error) {
		if m[0] != kindRequest || attacked {
			return honest(ctx, m)
		}
		attacked = true
		_, err := honest(ctx, m) // carried out; the answer is held back
		require.NoError(t, err)
		for _, hello := range hellos {
			_, _ = honest(ctx, hello)
		}
		return honest(ctx, m)
	}
	_, err := h.call("debit 100")
	require.ErrorIs(t, err, ErrReplayed)
	require.EqualValues(t, 1, h.calls.Load())
	require.LessOrEqual(t, len(h.server.greeted["eu"]), sessionsMax)
}

// A primary that has forgotten one session may have carried its request out: it is not
// sent again, and the next one opens another session.
func TestForgottenSessionIsNoRestart(t *testing.T) {
	t.Parallel()
	h := pair()
	_, err := h.call("before")
	require.NoError(t, err)
	h.server.sessions["eu"] = nil
	_, err = h.call("lost")
	require.ErrorIs(t, err, ErrForged)
	require.EqualValues(t, 1, h.calls.Load())
	got, err := h.call("after")
	require.NoError(t, err)
	require.Equal(t, "re: after", got)
}

func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	h := pair()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 50 {
				plain := fmt.Sprintf("%d/%d", i, j)
				got, err := h.call(plain)
				if err != nil || got != "re: "+plain {
					t.Errorf("%q: %q, %v", plain, got, err)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 64*50, h.calls.Load())
	require.Len(t, h.server.sessions["eu"], 1)
}

// A plugin or anyone on the way may try these. None of them is executed.
func TestHostileCarriers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	record := func(h *hosts) (requests, answers [][]byte) {
		inner := h.carry
		h.carry = func(ctx context.Context, m []byte) ([]byte, error) {
			a, err := inner(ctx, m)
			requests, answers = append(requests, bytes.Clone(m)), append(answers, bytes.Clone(a))
			return a, err
		}
		for _, plain := range []string{"one", "two"} {
			_, err := h.call(plain)
			require.NoError(t, err)
		}
		h.carry = inner
		return requests, answers
	}
	t.Run("a request played again", func(t *testing.T) {
		h := pair()
		requests, _ := record(h)
		for _, m := range requests {
			_, err := h.deliver(ctx, "eu", m)
			require.ErrorIs(t, err, ErrReplayed)
		}
		require.EqualValues(t, 2, h.calls.Load())
	})
	t.Run("a changed byte", func(t *testing.T) {
		h := pair()
		requests, _ := record(h)
		for _, m := range requests {
			for i := range m {
				c := bytes.Clone(m)
				c[i] ^= 1
				_, _ = h.deliver(ctx, "eu", c)
			}
			for i := range m {
				_, _ = h.deliver(ctx, "eu", m[:i])
			}
		}
		require.EqualValues(t, 2, h.calls.Load())
	})
	t.Run("a request of another secondary", func(t *testing.T) {
		h := pair()
		requests, _ := record(h)
		for _, m := range requests[1:] {
			answer, err := h.deliver(ctx, "us", m)
			require.NoError(t, err)
			require.Equal(t, kindUnknown, answer[0])
		}
		_, err := h.deliver(ctx, "us", requests[0])
		require.ErrorIs(t, err, ErrForged)
		_, err = h.deliver(ctx, "revoked", requests[1])
		require.ErrorContains(t, err, "revoked")
		require.EqualValues(t, 2, h.calls.Load())
	})
	t.Run("an answer of another request", func(t *testing.T) {
		h := pair()
		_, answers := record(h)
		for _, a := range answers {
			h.carry = func(context.Context, []byte) ([]byte, error) { return a, nil }
			_, err := h.call("three")
			require.Error(t, err)
		}
	})
	t.Run("a session that is said to be unknown", func(t *testing.T) {
		h := pair()
		record(h)
		inner, sent := h.carry, 0
		h.carry = func(ctx context.Context, m []byte) ([]byte, error) {
			sent++
			_, err := inner(ctx, m)
			return append([]byte{kindUnknown}, append(bytes.Clone(m[1:headSize+numberSize]),
				make([]byte, idSize+macSize)...)...), err
		}
		_, err := h.call("three")
		require.ErrorIs(t, err, ErrForged)
		require.Equal(t, 1, sent, "it was executed, and sent again")
	})
	t.Run("a welcome of somebody else", func(t *testing.T) {
		h := pair()
		other := NewServer(func() string { return "set" },
			func(context.Context, string) ([]byte, error) { return make([]byte, KeySize), nil })
		h.carry = func(ctx context.Context, m []byte) ([]byte, error) {
			return other.Serve(ctx, "eu", m, func(context.Context, []byte) []byte { t.Error("executed"); return nil })
		}
		_, err := h.call("one")
		require.ErrorIs(t, err, ErrForged)
	})
}

func TestOldSessionsGo(t *testing.T) {
	t.Parallel()
	h := pair()
	_, err := h.call("first")
	require.NoError(t, err)
	for range sessionsMax + 3 {
		_, err := NewClient(key, Binding{"set", "eu"}).Call(context.Background(), h.carry, nil)
		require.NoError(t, err)
	}
	require.Len(t, h.server.sessions["eu"], sessionsMax)
	_, err = h.call("may have been carried out before")
	require.ErrorIs(t, err, ErrForged)
	got, err := h.call("still")
	require.NoError(t, err)
	require.Equal(t, "re: still", got)
}

func TestWindow(t *testing.T) {
	t.Parallel()
	var w window
	require.False(t, w.accept(0))
	for _, n := range []uint64{1, 5, 3, 2, 4, windowSize, windowSize + 5, 3 * windowSize} {
		require.True(t, w.accept(n), n)
		require.False(t, w.accept(n), n)
	}
	require.False(t, w.accept(2*windowSize), "too old")
	require.True(t, w.accept(2*windowSize+1))
	require.True(t, w.accept(2*windowSize+7), "not the mark of an older number")
}

func FuzzServe(f *testing.F) {
	h := pair()
	var messages [][]byte
	inner := h.carry
	h.carry = func(ctx context.Context, m []byte) ([]byte, error) {
		messages = append(messages, bytes.Clone(m))
		return inner(ctx, m)
	}
	if _, err := h.call("one"); err != nil {
		f.Fatal(err)
	}
	corpus.Add(f, messages...)
	f.Fuzz(func(t *testing.T, m []byte) {
		before := h.calls.Load()
		_, _ = h.deliver(context.Background(), "eu", m)
		if h.calls.Load() != before {
			t.Fatal("a message that no host has sealed was executed")
		}
	})
}
