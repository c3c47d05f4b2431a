// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// rememberer is an engine that keeps in memory what it has read, as transit does with
// keys. Between its read and its keeping it waits for step.
type rememberer struct {
	engine
	stored, kept atomic.Pointer[string]
	step         chan struct{}
	told         atomic.Int32
}

func newRememberer(stored string) *rememberer {
	r := &rememberer{step: make(chan struct{})}
	r.stored.Store(&stored)
	r.do = func(context.Context, *logical.Request) (*logical.Response, error) {
		if r.kept.Load() == nil {
			read := r.stored.Load()
			<-r.step
			r.kept.Store(read)
		}
		return &logical.Response{Data: map[string]any{"from": *r.kept.Load()}}, nil
	}
	r.Invalidate = func(context.Context, string) {
		r.told.Add(1)
		r.kept.Store(nil)
	}
	return r
}

// A request that has read a key before a change arrives may keep what it read after the
// backend was told. It must not be served for ever.
func TestARequestUnderWayDoesNotBringTheOldValueBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		r := newRememberer("old")
		w := Options{}.Wrap(secret, r)
		read := begin(ctx, w)
		synctest.Wait()
		changed := "new"
		r.stored.Store(&changed)
		w.InvalidateKey(ctx, "key")
		w.InvalidateKey(ctx, "key")
		require.EqualValues(t, 2, r.told.Load())
		close(r.step)
		synctest.Wait()
		require.Equal(t, "old", from(read.resp), "it has read before the change")
		require.EqualValues(t, 3, r.told.Load(), "the backend is told once more of each key")
		resp, err := w.HandleRequest(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "a"})
		require.NoError(t, err)
		require.Equal(t, "new", from(resp))
		require.EqualValues(t, 3, r.told.Load(), "a later request has read nothing old")
	})
}

// Only what changed while a request ran is told again at its end, and nothing is kept
// when nothing runs.
func TestWhatChangedWhileARequestRan(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var r Readers
	note := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			require.NoError(t, r.Changed(ctx, key))
		}
	}
	note("nobody reads")
	first := r.Begin()
	note("a")
	second := r.Begin()
	note("b", "c", "b")
	third := r.Begin()
	require.Equal(t, []string{"b", "c"}, r.End(second))
	note("d")
	require.Equal(t, []string{"d"}, r.End(third))
	require.Equal(t, []string{"a", "b", "c", "d"}, r.End(first))
	require.Empty(t, r.changed)
	require.Empty(t, r.End(r.Begin()))
}

// A request that hangs does not make the list grow without end: who changes keys waits
// for it then, as long as he wants to.
func TestChangesWaitForARequestThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r Readers
		hangs := r.Begin()
		for i := range mostChanges {
			require.NoError(t, r.Changed(t.Context(), fmt.Sprint(i)))
		}
		short, cancel := context.WithCancel(t.Context())
		gaveUp, noted := make(chan error, 1), make(chan error, 1)
		go func() { gaveUp <- r.Changed(short, "one more") }()
		go func() { noted <- r.Changed(t.Context(), "another") }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-gaveUp, context.Canceled)
		require.Empty(t, noted)
		require.Len(t, r.End(hangs), mostChanges)
		require.NoError(t, <-noted)
	})
}

// A backend that cannot be wrapped is told again as well, after each of the functions that
// read for it.
func TestWatchedPathsAreReaders(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var r Readers
	change := func(key string) { require.NoError(t, r.Changed(ctx, key)) }
	reads := func(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
		change(req.Path)
		return nil, nil
	}
	local := func(pattern string) *framework.Path {
		p := path(pattern, reads, logical.ReadOperation)
		p.Operations[logical.ReadOperation].(*framework.PathOperation).ForwardPerformanceSecondary = false
		return p
	}
	p := local("oidc/config$")
	p.ExistenceCheck = func(context.Context, *logical.Request, *framework.FieldData) (bool, error) {
		change("existence")
		return true, nil
	}
	b := stub(t, p, local("entity$"))
	b.PeriodicFunc = func(context.Context, *logical.Request) error {
		change("periodic")
		return nil
	}
	var told []string
	r.Watch(b, "oidc", func(_ context.Context, key string) { told = append(told, key) })
	for _, path := range []string{"oidc/config", "entity"} {
		_, err := b.HandleRequest(ctx, &logical.Request{Operation: logical.ReadOperation, Path: path})
		require.NoError(t, err)
	}
	_, _, err := b.HandleExistenceCheck(ctx, &logical.Request{Operation: logical.CreateOperation, Path: "oidc/config"})
	require.NoError(t, err)
	require.NoError(t, b.PeriodicFunc(ctx, &logical.Request{}))
	require.Equal(t, []string{"oidc/config", "existence", "periodic"}, told)
}
