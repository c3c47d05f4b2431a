// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	radix "github.com/armon/go-radix"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
)

// router is the core's router, with the trees that a mount is entered in.
type router struct{ *vault.Router }

func (l *Live) router() router { return router{*field[*vault.Router](l.core.Core, "router")} }

func (r router) lock() *sync.RWMutex          { return field[sync.RWMutex](r.Router, "l") }
func (r router) tree(name string) *radix.Tree { return *field[*radix.Tree](r.Router, name) }

// route is an entry of the router, a pointer to Vault's unexported type.
type route struct{ entry any }

func (r route) lock() *sync.RWMutex       { return field[sync.RWMutex](r.entry, "l") }
func (r route) backend() *logical.Backend { return field[logical.Backend](r.entry, "backend") }

// at is the route with exactly this path.
func (r router) at(path string) (route, bool) {
	r.lock().RLock()
	defer r.lock().RUnlock()
	e, ok := r.tree("root").Get(path)
	return route{e}, ok
}

// routed is the path of a mount as the router knows it.
func routed(e *vault.MountEntry) string { return e.APIPath() }

// replace puts another route in the place of a mount's at once: a request meets
// the old backend or the new one, and both are whole. Another router makes the
// route, for only Vault knows what it takes from a backend.
func (r router) replace(e *vault.MountEntry, backend logical.Backend, view *vault.BarrierView) error {
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

// routeEntryType is the type of the router's entries, taken from one; an empty
// type, which no expectation fits, if this Vault's router has none like that.
var routeEntryType = sync.OnceValue(func() (t reflect.Type) {
	defer func() {
		if recover() != nil {
			t = reflect.TypeOf(struct{}{})
		}
	}()
	e := &vault.MountEntry{Table: "mounts", Path: "x/", Type: "x", UUID: "x", Accessor: "x"}
	*field[*namespace.Namespace](e, "namespace") = namespace.RootNamespace
	r := router{vault.NewRouter()}
	if err := r.Mount(nil, "x/", e, vault.NewBarrierView(&logical.InmemStorage{}, "x/")); err != nil {
		panic(err)
	}
	found, _ := r.at("x/")
	return reflect.TypeOf(found.entry).Elem()
})
