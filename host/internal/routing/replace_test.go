// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// worker is a backend whose requests wait until they are let go.
type worker struct {
	engine
	name string
	let  chan struct{}
	told []string
}

func newWorker(name string) *worker {
	w := &worker{name: name, let: make(chan struct{})}
	w.do = func(ctx context.Context, _ *logical.Request) (*logical.Response, error) {
		select {
		case <-w.let:
			return &logical.Response{Data: map[string]any{"from": name}}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.Invalidate = func(_ context.Context, key string) { w.told = append(w.told, key) }
	return w
}

// HandleExistenceCheck finds what the third one has.
func (w *worker) HandleExistenceCheck(context.Context, *logical.Request) (bool, bool, error) {
	return true, w.name == "third", nil
}

// asked is a request under way.
type asked struct {
	resp *logical.Response
	err  error
	over bool
}

func begin(ctx context.Context, b logical.Backend) *asked {
	a := &asked{}
	go func() {
		a.resp, a.err = b.HandleRequest(ctx, &logical.Request{Operation: logical.UpdateOperation, Path: "a"})
		a.over = true
	}()
	return a
}

// Requests that meet a replacement run on the old backend or on the new one, behind its
// wrapper: a write that is refused there is forwarded.
func TestRequestsThatMeetAReplacement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p := &primary{answer: remote("primary")}
		o := Options{Forwarder: p}
		old := newWorker("old")
		w := o.Wrap(secret, old).(Replaceable)
		before := begin(ctx, w)
		synctest.Wait()

		var during *asked
		replaced := make(chan error, 1)
		readOnly := &engine{do: func(context.Context, *logical.Request) (*logical.Response, error) {
			return nil,
				logical.ErrReadOnly
		}}
		made := o.Wrap(secret, readOnly)
		go func() {
			replaced <- w.Replace(ctx, func(inner logical.Backend) (logical.Backend, error) {
				require.Same(t, old, inner)
				synctest.Wait()
				require.True(t, before.over, "a request is in the old backend")
				during = begin(ctx, w)
				synctest.Wait()
				return made, nil
			})
		}()
		synctest.Wait()
		waiting := begin(ctx, w)
		gone, cancel := context.WithCancel(ctx)
		left := begin(gone, w)
		synctest.Wait()
		require.False(t, waiting.over)
		cancel()
		synctest.Wait()
		require.ErrorIs(t, left.err, context.Canceled, "nobody waits longer than he wants")
		require.Nil(t, during, "the old backend works yet")

		close(old.let)
		require.NoError(t, <-replaced)
		synctest.Wait()
		require.Equal(t, "old", from(before.resp))
		for _, a := range []*asked{waiting, during, begin(ctx, w)} {
			synctest.Wait()
			require.True(t, a.over)
			require.NoError(t, a.err)
			require.Equal(t, "primary", from(a.resp))
		}
		require.Len(t, p.got, 3)

		// Somebody may still have the former wrapper. It stands for the present one.
		third := newWorker("third")
		close(third.let)
		require.NoError(t, w.Replace(ctx, func(inner logical.Backend) (logical.Backend, error) {
			require.Same(t, readOnly, inner)
			return third, nil
		}))
		last := begin(ctx, w)
		synctest.Wait()
		require.Equal(t, "third", from(last.resp))
		_, exists, err := w.HandleExistenceCheck(ctx, &logical.Request{Path: "a"})
		require.NoError(t, err)
		require.True(t, exists)
	})
}

// Without a new backend the old one goes on; a replacement that is no longer wanted
// lets the requests go.
func TestReplacementThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		old := newWorker("old")
		w := Options{}.Wrap(secret, old).(Replaceable)
		busy := begin(ctx, w)
		synctest.Wait()
		short, cancel := context.WithCancel(ctx)
		replaced := make(chan error, 1)
		go func() {
			replaced <- w.Replace(short, func(logical.Backend) (logical.Backend, error) { panic("a request is in the backend") })
		}()
		synctest.Wait()
		waiting := begin(ctx, w)
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-replaced, context.Canceled)
		close(old.let)
		synctest.Wait()
		require.Equal(t, "old", from(busy.resp))
		require.Equal(t, "old", from(waiting.resp))

		broken := errors.New("the plugin is not there")
		require.ErrorIs(t, w.Replace(ctx, func(logical.Backend) (logical.Backend, error) { return nil, broken }), broken)
		after := begin(ctx, w)
		synctest.Wait()
		require.Equal(t, "old", from(after.resp))
	})
}

// A change that comes while the new backend is made is told to it, because it may have read
// the old value. The caller does not wait: a request may be waiting for it.
func TestChangesThatMeetAReplacement(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	old, made := newWorker("old"), newWorker("made")
	w := Options{}.Wrap(secret, old).(Replaceable)
	w.InvalidateKey(ctx, "before")
	require.NoError(t, w.Replace(ctx, func(logical.Backend) (logical.Backend, error) {
		w.InvalidateKey(ctx, "during")
		return made, nil
	}))
	w.InvalidateKey(ctx, "after")
	require.Equal(t, []string{"before", "during"}, old.told)
	require.Equal(t, []string{"during", "after"}, made.told)
}

// reloads notes what it is asked for.
type reloads struct {
	asked []string
	n     int
	err   error
}

func (r *reloads) ReloadMounts(_ context.Context, paths []string) error {
	r.asked = append(r.asked, paths...)
	return r.err
}

func (r *reloads) ReloadPlugin(_ context.Context, kind, name string) (int, error) {
	r.asked = append(r.asked, kind+" "+name)
	return r.n, r.err
}

func TestDecorateReload(t *testing.T) {
	t.Parallel()
	stock := func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
		return nil, errors.New("Vault's own reload")
	}
	fields := map[string]*framework.FieldSchema{
		"plugin": {Type: framework.TypeString}, "mounts": {Type: framework.TypeCommaStringSlice},
		"scope": {Type: framework.TypeString},
		"type":  {Type: framework.TypeString}, "name": {Type: framework.TypeString},
	}
	var paths []*framework.Path
	for _, pattern := range []string{"plugins/reload/backend$", "plugins/reload/(?P<type>auth|database|secret|unknown)/" +
		framework.GenericNameRegex("name") + "$"} {
		p := path(pattern, stock, logical.UpdateOperation)
		p.Fields = fields
		p.Operations[logical.UpdateOperation].(*framework.PathOperation).ForwardPerformanceSecondary = false
		paths = append(paths, p)
	}
	b := stub(t, paths...)
	r := &reloads{}
	require.NoError(t, DecorateReload(b, r))
	require.Error(t, DecorateReload(stub(t, paths[0]), r), "the other one would let requests meet a bare backend")
	for name, tt := range map[string]struct {
		path             string
		data             map[string]any
		n                int
		err              error
		asked            []string
		refused, warning string
		status           any
	}{
		"mounts":   {"backend", map[string]any{"mounts": "a/,auth/b"}, 0, nil, []string{"a/", "auth/b"}, "", "", nil},
		"a plugin": {"backend", map[string]any{"plugin": "kv"}, 2, nil, []string{"unknown kv"}, "", "", nil},
		"none of it": {"backend", map[string]any{"plugin": "kv"}, 0, nil, []string{"unknown kv"}, "",
			"no plugins were reloaded", nil},
		"of a kind": {"database/pg", nil, 1, nil, []string{"database pg"}, "", "", nil},
		"both": {"backend", map[string]any{"plugin": "kv", "mounts": "a/"}, 0, nil, nil,
			"cannot be set at the same time", "", nil},
		"neither":       {"backend", nil, 0, nil, nil, "must be provided", "", nil},
		"another scope": {"backend", map[string]any{"plugin": "kv", "scope": "here"}, 0, nil, nil, "scope", "", nil},
		"everywhere":    {"secret/kv", map[string]any{"scope": "global"}, 1, nil, []string{"secret kv"}, "", "", 202},
		"none everywhere": {"secret/kv", map[string]any{"scope": "global"}, 0, nil, []string{"secret kv"}, "",
			"on other nodes", 202},
		"fails": {"backend", map[string]any{"mounts": "a/"}, 0, errors.New("no such mount"), []string{"a/"}, "", "",
			nil},
	} {
		r.asked, r.n, r.err = nil, tt.n, tt.err
		resp, err := b.HandleRequest(t.Context(), &logical.Request{Operation: logical.UpdateOperation,
			Path: "plugins/reload/" + tt.path, Data: tt.data, ID: "id"})
		require.Equal(t, tt.asked, r.asked, name)
		switch {
		case tt.err != nil:
			require.ErrorIs(t, err, tt.err, name)
			continue
		case tt.refused != "":
			require.ErrorContains(t, resp.Error(), tt.refused, name)
			continue
		}
		require.NoError(t, err, name)
		if tt.status != nil {
			require.Equal(t, tt.status, resp.Data[logical.HTTPStatusCode], name)
			require.Contains(t, resp.Data[logical.HTTPRawBody].(string), `"reload_id":"id"`, name)
			require.Contains(t, resp.Data[logical.HTTPRawBody].(string), tt.warning, name)
			continue
		}
		require.Equal(t, "id", resp.Data["reload_id"], name)
		if tt.warning == "" {
			require.Empty(t, resp.Warnings, name)
		} else {
			require.Equal(t, []string{tt.warning}, resp.Warnings, name)
		}
	}
}
