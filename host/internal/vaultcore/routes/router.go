// SPDX-License-Identifier: MPL-2.0

package routes

import (
	"fmt"
	"sync"

	radix "github.com/armon/go-radix"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// Router is the core's router, with the trees that a mount is entered in.
type Router struct{ *vault.Router }

func (r Router) lock() *sync.RWMutex          { return pinned.Field[sync.RWMutex](r.Router, "l") }
func (r Router) tree(name string) *radix.Tree { return *pinned.Field[*radix.Tree](r.Router, name) }

// At is the route with exactly this path.
func (r Router) At(path string) (Route, bool) {
	r.lock().RLock()
	defer r.lock().RUnlock()
	e, ok := r.tree("root").Get(path)
	return Route{path, e}, ok
}

// Path is the path of a mount as the router knows it.
func Path(e *vault.MountEntry) string { return e.APIPath() }

// Replace puts another route in the place of a mount's at once: a request meets
// the old backend or the new one, and both are whole. Another router makes the
// route, for only Vault knows what it takes from a backend. It fails when the mount
// has another route than the old one by now, or none.
func (r Router) Replace(e *vault.MountEntry, old Route, backend logical.Backend, view *vault.BarrierView) error {
	maker := Router{vault.NewRouter()}
	if err := maker.Mount(backend, e.APIPathNoNamespace(), e, view); err != nil {
		return err
	}
	made, ok := maker.At(Path(e))
	if !ok {
		return fmt.Errorf("the route of %s was not made", e.Path)
	}
	r.lock().Lock()
	defer r.lock().Unlock()
	if now, ok := r.tree("root").Get(Path(e)); !ok || now != old.entry {
		return fmt.Errorf("the mount %s was changed at the same time", e.Path)
	}
	r.tree("root").Insert(Path(e), made.entry)
	r.tree("storagePrefix").Insert(view.Prefix(), made.entry)
	return nil
}

// Drop takes a mount out of the router. Its backend stays as it is for requests
// that have it already.
func (r Router) Drop(e *vault.MountEntry) {
	r.lock().Lock()
	defer r.lock().Unlock()
	r.tree("root").Delete(Path(e))
	r.tree("storagePrefix").Delete(e.ViewPath())
	r.tree("mountUUIDCache").Delete(e.UUID)
	r.tree("mountAccessorCache").Delete(e.Accessor)
}
