// SPDX-License-Identifier: MPL-2.0

package routes

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Types of backends that the core itself is made of: they keep their concrete
// type in every role, for the core asserts on it.
var coreBackends = map[string]bool{
	"system": true, "ns_system": true,
	"identity": true, "ns_identity": true,
	"cubbyhole": true, "ns_cubbyhole": true,
	"token": true, "ns_token": true,
}

// OfCore says whether the core itself is made of backends of a type.
func OfCore(typ string) bool { return coreBackends[typ] }

// Mounted is what a core has mounted.
type Mounted struct{ core *vault.Core }

// Of is what a core has mounted, at each time that it is asked.
func Of(core *vault.Core) Mounted { return Mounted{core} }

// Wrapped is a backend that stands in front of another one.
type Wrapped interface {
	logical.Backend
	// Unwrap is the backend behind.
	Unwrap() logical.Backend
}

// Replaceable is a wrapped backend in whose place another one can be put without a
// request that meets neither, or one of them half made.
type Replaceable interface {
	Wrapped
	// Replace waits until the requests that are in the backend have ended, holds later
	// ones back, and gives with the backend behind. What that returns takes its place.
	Replace(ctx context.Context, with func(old logical.Backend) (logical.Backend, error)) error
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
// secondary, which reloads by itself). Only the last one replaces a
// backend that may be wrapped, and begins with its Cleanup.
func (c Mounted) WrapBackends(wrap func(vaultname.Mount, logical.Backend) logical.Backend) error {
	var errs []error
	for _, e := range c.routes() {
		errs = append(errs, e.wrap(wrap))
	}
	return errors.Join(errs...)
}

// Mounts are all mounts of the router.
func (c Mounted) Mounts() []vaultname.Mount {
	routes := c.routes()
	mounts := make([]vaultname.Mount, 0, len(routes))
	for _, e := range routes {
		e.Lock().RLock()
		mounts = append(mounts, e.mount())
		e.Lock().RUnlock()
	}
	return mounts
}

// MountAt is the mount that serves a path.
func (c Mounted) MountAt(path string) (vaultname.Mount, bool) {
	router := c.Router()
	router.lock().RLock()
	prefix, raw, ok := router.tree("root").LongestPrefix(path)
	router.lock().RUnlock()
	if !ok {
		return vaultname.Mount{}, false
	}
	e := Route{prefix, raw}
	e.Lock().RLock()
	defer e.Lock().RUnlock()
	return e.mount(), true
}

// BackendOf is the backend that serves a path, wrapped or not; nil if there is
// none.
func (c Mounted) BackendOf(path string) logical.Backend {
	return c.Router().MatchingBackend(namespace.RootContext(context.Background()), path)
}

// Router is the router that the core has now.
func (c Mounted) Router() Router { return Router{*pinned.Field[*vault.Router](c.core, "router")} }

// routes are the router's entries. The router's lock is not held while one of
// them is worked on.
func (c Mounted) routes() []Route {
	router := c.Router()
	router.lock().RLock()
	defer router.lock().RUnlock()
	var all []Route
	router.tree("root").Walk(func(prefix string, raw any) bool {
		all = append(all, Route{prefix, raw})
		return false
	})
	return all
}

// Route is an entry of the router: a pointer to a type that Vault does not export.
type Route struct {
	prefix string
	entry  any
}

// Lock is the entry's lock: requests hold it for reading.
func (e Route) Lock() *sync.RWMutex { return pinned.Field[sync.RWMutex](e.entry, "l") }

// Backend is where the backend is, nil in it if there is none.
func (e Route) Backend() *logical.Backend { return pinned.Field[logical.Backend](e.entry, "backend") }

func (e Route) mount() vaultname.Mount {
	m := MountOf(*pinned.Field[*vault.MountEntry](e.entry, "mountEntry"))
	m.Path, m.StoragePrefix = e.prefix, *pinned.Field[string](e.entry, "storagePrefix")
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
func (e Route) bare() bool {
	b := *e.Backend()
	if b == nil || coreBackends[(*pinned.Field[*vault.MountEntry](e.entry, "mountEntry")).Type] {
		return false
	}
	_, is := b.(Wrapped)
	return !is
}

// wrap takes the lock for writing only when there is something to do: a writer
// that waits holds up every request to the mount.
func (e Route) wrap(wrap func(vaultname.Mount, logical.Backend) logical.Backend) error {
	e.Lock().RLock()
	bare, idle := e.bare(), *e.Backend() == nil
	e.Lock().RUnlock()
	if idle {
		e.admitWrites()
	}
	if !bare {
		return nil
	}
	e.Lock().Lock()
	defer e.Lock().Unlock()
	if !e.bare() {
		return nil
	}
	w, ok := wrap(e.mount(), *e.Backend()).(Wrapped)
	if !ok {
		return fmt.Errorf("the backend at %s cannot be wrapped: its wrapper does not name the backend behind it", e.prefix)
	}
	*e.Backend() = w
	return nil
}

// admitWrites lifts the refusal of writes from the storage of a mount without a
// backend. Vault refuses them while it makes the backend, and where it cannot make
// one never lifts that, so that a backend which a reload brings later could not
// write.
func (e Route) admitWrites() {
	if view, ok := (*pinned.Field[logical.Storage](e.entry, "storageView")).(*vault.BarrierView); ok {
		pinned.SetReadOnlyErr(view, nil)
	}
}
