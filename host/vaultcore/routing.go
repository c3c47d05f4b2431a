// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// wrapped is a backend that stands in front of another one.
type wrapped interface {
	logical.Backend
	// Unwrap is the backend behind.
	Unwrap() logical.Backend
}

// replaceable is a wrapped backend in whose place another one can be put without a
// request that meets neither, or one of them half made.
type replaceable interface {
	wrapped
	// Replace waits until the requests that are in the backend have ended, holds later
	// ones back, and gives with the backend behind. What that returns takes its place.
	Replace(ctx context.Context, with func(old logical.Backend) (logical.Backend, error)) error
}

// OnBackendsReady sets the hook that runs at the end of each unseal, when all
// mounts are set up and before any request is served, ahead of [Core.OnActive]'s.
// It must not block; the context ends with the active duty.
func (c *Core) OnBackendsReady(hook func(context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onReady = hook
}

// WrapBackends puts a wrapper in front of every backend that has none. System,
// identity, token and cubbyhole backends keep their concrete type, for the core
// asserts on it.
//
// One that cannot be wrapped does not keep the others from it.
//
// It can be called at any time outside of a request to the mount in question: it
// waits for the requests that run in a backend before it wraps it, and holds up
// later ones until then. A backend is replaced at four places in Vault, each of
// which needs a call afterwards: the set-up of the mounts at unseal, a new mount
// and a new auth method (at run time, by the sys API or the follower), and a reload
// (a tune that changes options; sys/plugins/reload elsewhere than on a serving
// secondary, which has [Live.Reload] for it). Only the last one replaces a
// backend that may be wrapped, and begins with its Cleanup.
func (c *Core) WrapBackends(wrap func(vaultname.Mount, logical.Backend) logical.Backend) error {
	var errs []error
	for _, e := range c.routes() {
		errs = append(errs, e.wrap(wrap))
	}
	return errors.Join(errs...)
}

// Mounts are all mounts of the router.
func (c *Core) Mounts() []vaultname.Mount {
	routes := c.routes()
	mounts := make([]vaultname.Mount, 0, len(routes))
	for _, e := range routes {
		e.lock().RLock()
		mounts = append(mounts, e.mount())
		e.lock().RUnlock()
	}
	return mounts
}

// MountAt is the mount that serves a path.
func (c *Core) MountAt(path string) (vaultname.Mount, bool) {
	router := c.router()
	router.lock().RLock()
	prefix, raw, ok := router.tree("root").LongestPrefix(path)
	router.lock().RUnlock()
	if !ok {
		return vaultname.Mount{}, false
	}
	e := route{prefix, raw}
	e.lock().RLock()
	defer e.lock().RUnlock()
	return e.mount(), true
}

// BackendOf is the backend that serves a path, wrapped or not; nil if there is
// none.
func (c *Core) BackendOf(path string) logical.Backend {
	return c.router().MatchingBackend(namespace.RootContext(context.Background()), path)
}

func (c *Core) router() router { return router{*pinned.Field[*vault.Router](c.Core, "router")} }

// routes are the router's entries. The router's lock is not held while one of
// them is worked on.
func (c *Core) routes() []route {
	router := c.router()
	router.lock().RLock()
	defer router.lock().RUnlock()
	var all []route
	router.tree("root").Walk(func(prefix string, raw any) bool {
		all = append(all, route{prefix, raw})
		return false
	})
	return all
}

// route is an entry of the router: a pointer to a type that Vault does not export.
type route struct {
	prefix string
	entry  any
}

// entryField is a field of the router's entry.
func entryField[T any](e route, name string) *T {
	v := reflect.ValueOf(e.entry).Elem().FieldByName(name)
	return (*T)(unsafe.Pointer(v.UnsafeAddr()))
}

// lock is the entry's lock: requests hold it for reading.
func (e route) lock() *sync.RWMutex { return entryField[sync.RWMutex](e, "l") }

func (e route) backend() *logical.Backend { return entryField[logical.Backend](e, "backend") }

func (e route) mount() vaultname.Mount {
	m := MountOf(*entryField[*vault.MountEntry](e, "mountEntry"))
	m.Path, m.StoragePrefix = e.prefix, *entryField[string](e, "storagePrefix")
	return m
}

// MountOf is a mount as its entry in a table names it.
func MountOf(m *vault.MountEntry) vaultname.Mount {
	return vaultname.Mount{
		Path:          m.APIPathNoNamespace(),
		Class:         m.MountClass(),
		UUID:          m.UUID,
		Accessor:      m.Accessor,
		Type:          m.Type,
		Local:         m.Local,
		External:      m.IsExternalPlugin(),
		StoragePrefix: m.ViewPath(),
	}
}

// bare says whether there is a backend to wrap.
func (e route) bare() bool {
	b := *e.backend()
	if b == nil || coreBackends[(*entryField[*vault.MountEntry](e, "mountEntry")).Type] {
		return false
	}
	_, is := b.(wrapped)
	return !is
}

// wrap takes the lock for writing only when there is something to do: a writer
// that waits holds up every request to the mount.
func (e route) wrap(wrap func(vaultname.Mount, logical.Backend) logical.Backend) error {
	e.lock().RLock()
	bare, idle := e.bare(), *e.backend() == nil
	e.lock().RUnlock()
	if idle {
		e.admitWrites()
	}
	if !bare {
		return nil
	}
	e.lock().Lock()
	defer e.lock().Unlock()
	if !e.bare() {
		return nil
	}
	w, ok := wrap(e.mount(), *e.backend()).(wrapped)
	if !ok {
		return fmt.Errorf("the backend at %s cannot be wrapped: its wrapper does not name the backend behind it", e.prefix)
	}
	*e.backend() = w
	return nil
}

// admitWrites lifts the refusal of writes from the storage of a mount without a
// backend. Vault refuses them while it makes the backend, and where it cannot make
// one never lifts that, so that a backend which a reload brings later could not
// write.
func (e route) admitWrites() {
	if view, ok := (*entryField[logical.Storage](e, "storageView")).(*vault.BarrierView); ok {
		pinned.SetReadOnlyErr(view, nil)
	}
}
