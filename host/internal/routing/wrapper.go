// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"

	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Options are what wrapped backends work with.
type Options struct {
	Forwarder Forwarder
	// Refusals counts the refused writes of each mount; nil if nothing does.
	Refusals *refusal.Counters
	// AfterAuth is called with each login and renewal that succeeded, before the core makes
	// or renews a token. Its error replaces the answer. The alias has no mount accessor
	// yet; take the mount's. Nil if there is nothing to do.
	AfterAuth func(ctx context.Context, m vaultname.Mount, req *logical.Request, resp *logical.Response) error
	// Replaced is called, in its own goroutine, when the core reloads a wrapped backend and
	// puts a bare one in its place. It has to wrap bare backends. Nil if nothing reloads.
	Replaced func()
}

// Wrapper is a backend of a performance secondary.
type Wrapper struct {
	logical.Backend
	mount   vaultname.Mount
	o       Options
	turn    turn
	readers Readers
}

var _ Replaceable = (*Wrapper)(nil)

// Wrap puts a wrapper in front of a mount's backend.
func (o Options) Wrap(m vaultname.Mount, b logical.Backend) logical.Backend {
	return &Wrapper{Backend: b, mount: m, o: o}
}

// Unwrap is the backend behind.
func (w *Wrapper) Unwrap() logical.Backend { return w.Backend }

// Cleanup ends the backend. Each reload begins with it, whatever asked for it.
func (w *Wrapper) Cleanup(ctx context.Context) {
	w.Backend.Cleanup(ctx)
	if w.o.Replaced != nil && ctx.Value(plugin.ContextKeyPluginReload) != nil {
		// The core holds the lock of the route entry until the new one is in place,
		// so this must not wait for it.
		go w.o.Replaced()
	}
}

// HandleRequest runs a request here, or where it can be run: in the backend that has taken
// this one's place, or on the primary.
func (w *Wrapper) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	end, next, err := w.enter(ctx)
	switch {
	case err != nil:
		return nil, err
	case next != nil:
		return next.HandleRequest(ctx, req)
	}
	defer end()
	resp, err := w.handle(ctx, req)
	if err != nil || resp == nil || resp.Auth == nil || resp.IsError() {
		return resp, err
	}
	if w.mount.Class == vaultname.ClassAuth && w.o.AfterAuth != nil && ruleOf(req.Operation).forward {
		if err := w.o.AfterAuth(ctx, w.mount, req, resp); err != nil {
			return nil, err
		}
	}
	return resp, nil
}

func (w *Wrapper) handle(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	r := ruleOf(req.Operation)
	if !r.forward || w.mount.Local || req.IsSnapshotReadOrList() {
		return w.Backend.HandleRequest(ctx, req)
	}
	sent := envelope(ctx, w.mount, req)
	if actsFirst(w.mount, req.Operation, req.Path) {
		return w.forward(ctx, sent)
	}
	resp, refused, err := w.tryHere(ctx, req, r.writes)
	if !refused {
		return resp, err
	}
	if n := neededFirstOf(w.mount, sent.Logical.Operation, sent.Logical.Path); n != nil {
		return w.runHereAfter(ctx, n, req, sent)
	}
	return w.forward(ctx, sent)
}

// tryHere runs a request here. Refused says that the storage refused a write of it.
func (w *Wrapper) tryHere(ctx context.Context, req *logical.Request, writes bool) (resp *logical.Response, refused bool,
	err error) {
	marked, mark := refusal.With(ctx)
	before := w.refusals()
	resp, err = w.Backend.HandleRequest(marked, req)
	seen := refusals{marked: mark.Noted(), counted: w.refusals() != before, external: w.mount.External}
	return resp, seen.wasRefused(resp, err, writes), err
}

func (w *Wrapper) forward(ctx context.Context, sent *wire.Request) (*logical.Response, error) {
	resp, err := ask(ctx, w.o.Forwarder, sent)
	if err != nil && w.Logger() != nil {
		w.Logger().Debug("a forwarded request failed", "operation", sent.Logical.Operation, "error", err)
	}
	return resp, err
}

// refusals is the count of the mount.
func (w *Wrapper) refusals() uint64 {
	if w.o.Refusals == nil {
		return 0
	}
	return w.o.Refusals.Of(w.mount.StoragePrefix)
}
