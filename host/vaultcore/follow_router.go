// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"fmt"
	"sync"

	radix "github.com/armon/go-radix"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/vaultcore/internal/pinned"
)

// router is the core's router, with the trees that a mount is entered in.
type router struct{ *vault.Router }

func (l *Live) router() router { return l.core.router() }

func (r router) lock() *sync.RWMutex          { return pinned.Field[sync.RWMutex](r.Router, "l") }
func (r router) tree(name string) *radix.Tree { return *pinned.Field[*radix.Tree](r.Router, name) }

// at is the route with exactly this path.
func (r router) at(path string) (route, bool) {
	r.lock().RLock()
	defer r.lock().RUnlock()
	e, ok := r.tree("root").Get(path)
	return route{path, e}, ok
}

// routed is the path of a mount as the router knows it.
func routed(e *vault.MountEntry) string { return e.APIPath() }

// replace puts another route in the place of a mount's at once: a request meets
// the old backend or the new one, and both are whole. Another router makes the
// route, for only Vault knows what it takes from a backend. It fails when the mount
// has another route than the old one by now, or none.
func (r router) replace(e *vault.MountEntry, old route, backend logical.Backend, view *vault.BarrierView) error {
	maker := router{vault.NewRouter()}
	if err := maker.Mount(backend, e.APIPathNoNamespace(), e, view); err != nil {
		return err
	}
	made, ok := maker.at(routed(e))
	if !ok {
		return fmt.Errorf("the route of %s was not made", e.Path)
	}
	r.lock().Lock()
	defer r.lock().Unlock()
	if now, ok := r.tree("root").Get(routed(e)); !ok || now != old.entry {
		return fmt.Errorf("the mount %s was changed at the same time", e.Path)
	}
	r.tree("root").Insert(routed(e), made.entry)
	r.tree("storagePrefix").Insert(view.Prefix(), made.entry)
	return nil
}

// drop takes a mount out of the router. Its backend stays as it is for requests
// that have it already.
func (r router) drop(e *vault.MountEntry) {
	r.lock().Lock()
	defer r.lock().Unlock()
	r.tree("root").Delete(routed(e))
	r.tree("storagePrefix").Delete(e.ViewPath())
	r.tree("mountUUIDCache").Delete(e.UUID)
	r.tree("mountAccessorCache").Delete(e.Accessor)
}

// cleanUp ends a backend that the router no longer has, when the requests that
// are in it are done.
func (l *Live) cleanUp(ctx context.Context, old route) {
	l.wait.Add(1)
	go func() {
		defer l.wait.Done()
		old.lock().Lock()
		b := *old.backend()
		*old.backend() = nil
		old.lock().Unlock()
		if b != nil {
			b.Cleanup(ctx)
		}
	}()
}
