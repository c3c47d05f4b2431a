// SPDX-License-Identifier: MPL-2.0

package live

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/mounttable"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/routes"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Mount builds, wraps and starts the backend of a new mount, and only then lets
// requests reach it. When it cannot be built, for a plugin that is not installed
// here as a rule, the mount is there all the same and answers nothing, as Vault
// does at unseal, and the reason is returned.
func (l *Mounts) Mount(ctx context.Context, table string, e mounttable.Entry) error {
	entry, err := l.decode(ctx, e)
	if err != nil {
		return err
	}
	entry.SyncCache()
	backend, view, buildErr := l.build(table, entry)
	if err := ctx.Err(); err != nil {
		// Whoever asked has gone on without this mount.
		l.discard(backend)
		return err
	}
	if err := l.enter(table, entry, backend, view); err != nil {
		l.discard(backend)
		return errors.Join(err, buildErr)
	}
	return buildErr
}

// Rebuild replaces the backend of a mount by one that is built from what the
// mount is now. The old one serves until then, and ends when its requests are
// done; it goes on serving if the new one cannot be built.
func (l *Mounts) Rebuild(ctx context.Context, table, uuid string) error {
	entry, err := l.entry(table, uuid)
	if err != nil {
		return err
	}
	old, ok := l.router().At(routes.Path(entry))
	if !ok {
		return fmt.Errorf("the mount %s is not in the router", entry.Path)
	}
	backend, view, err := l.build(table, entry)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		l.discard(backend)
		return err
	}
	if err := l.router().Replace(entry, old, backend, view); err != nil {
		l.discard(backend)
		return err
	}
	l.cleanUp(l.active(), old)
	return nil
}

func (l *Mounts) discard(b logical.Backend) {
	if b != nil {
		b.Cleanup(l.active())
	}
}

// build makes and starts a wrapped backend. The view is there without a backend
// too.
func (l *Mounts) build(table string, entry *vault.MountEntry) (logical.Backend, *vault.BarrierView, error) {
	ctx := l.active()
	view, err := l.view(ctx, table, entry)
	if err != nil {
		return nil, nil, err
	}
	want, factory := logical.TypeLogical, pinned.NewLogicalBackend
	if table == vaultname.Auth {
		want, factory = logical.TypeCredential, pinned.NewCredentialBackend
	}
	// A backend must not write before it is mounted; see Vault's own mount.
	pinned.SetReadOnlyErr(view, logical.ErrSetupReadOnly)
	backend, err := factory(l.core, ctx, entry, pinned.MountEntrySysView(l.core, entry), view)
	pinned.SetReadOnlyErr(view, nil)
	if err != nil {
		return nil, view, err
	}
	if backend == nil {
		return nil, view, fmt.Errorf("the engine %q makes no backend", entry.Type)
	}
	if backend.Type() != want && entry.Type != "kv" {
		backend.Cleanup(ctx)
		return nil, view, fmt.Errorf("the engine %q is of the type %s, not %s", entry.Type, backend.Type(), want)
	}
	pinned.AddPathCheckers(l.core, entry, backend, view.Prefix())
	// As at unseal, an engine that does not start well is mounted all the same.
	if err := backend.Initialize(ctx, &logical.InitializationRequest{Storage: view}); err != nil {
		l.core.Logger().Error("an engine that the primary mounted did not start well", "path", entry.Path, "type", entry.Type,
			"error", err)
	}
	return l.wrap(entry, backend), view, nil
}

// view is the storage of a mount. That of a secrets engine resolves the keys that
// are written for one cluster of a set.
func (l *Mounts) view(ctx context.Context, table string, entry *vault.MountEntry) (*vault.BarrierView, error) {
	var store logical.Storage = l.storage
	if table == vaultname.Mounts {
		forwarded, err := l.core.NewForwardedWriter(ctx, l.storage, entry.Local)
		if err != nil {
			return nil, err
		}
		store = forwarded
	}
	return vault.NewBarrierView(store, entry.ViewPath()), nil
}

// enter makes a mount known to the table and the router.
func (l *Mounts) enter(table string, entry *vault.MountEntry, backend logical.Backend, view *vault.BarrierView) error {
	if view == nil {
		view = vault.NewBarrierView(l.storage, entry.ViewPath())
	}
	l.swap(table, entry.UUID, entry)
	if err := l.router().Mount(backend, entry.APIPathNoNamespace(), entry, view); err != nil {
		l.swap(table, entry.UUID, nil)
		return err
	}
	return nil
}

// Unmount takes a mount away. Requests that are in it go on to their end.
func (l *Mounts) Unmount(_ context.Context, table, uuid string) error {
	entry, err := l.entry(table, uuid)
	if err != nil {
		return err
	}
	old, ok := l.router().At(routes.Path(entry))
	l.router().Drop(entry)
	l.swap(table, uuid, nil)
	pinned.RemovePathCheckers(l.core, entry, entry.ViewPath())
	l.core.WellKnownRedirects.DeregisterMount(uuid)
	if ok {
		l.cleanUp(l.active(), old)
	}
	return nil
}

// Move changes the path of a mount, and lets requests through.
func (l *Mounts) Move(_ context.Context, table string, to mounttable.Entry) error {
	entry, err := l.entry(table, to.UUID)
	if err != nil {
		return err
	}
	ctx := l.active()
	from := entry.APIPathNoNamespace()
	_, lock := l.tableOf(table)
	lock.Lock()
	defer lock.Unlock()
	before := entry.Path
	entry.Path = to.Path
	if err := l.router().Remount(ctx, from, entry.APIPathNoNamespace()); err != nil {
		entry.Path = before
		return err
	}
	entry.Tainted, entry.MountState = false, ""
	return l.router().Untaint(ctx, entry.APIPathNoNamespace())
}

// Taint stops or admits requests to a mount; revocation passes always.
func (l *Mounts) Taint(_ context.Context, table string, to mounttable.Entry) error {
	entry, err := l.entry(table, to.UUID)
	if err != nil {
		return err
	}
	_, lock := l.tableOf(table)
	lock.Lock()
	entry.Tainted = to.Tainted
	lock.Unlock()
	if to.Tainted {
		return l.router().Taint(l.active(), entry.APIPathNoNamespace())
	}
	return l.router().Untaint(l.active(), entry.APIPathNoNamespace())
}

// Tune takes over what can be tuned, in the entry that the router and the system
// views have.
func (l *Mounts) Tune(ctx context.Context, table string, to mounttable.Entry) error {
	entry, err := l.entry(table, to.UUID)
	if err != nil {
		return err
	}
	from, err := l.decode(ctx, to)
	if err != nil {
		return err
	}
	_, lock := l.tableOf(table)
	lock.Lock()
	defer lock.Unlock()
	if entry.Type == "token" {
		// Vault sets it at unseal and stores nothing.
		from.Config.TokenType = entry.Config.TokenType
	}
	entry.Description = from.Description
	entry.Config = from.Config
	entry.Options = from.Options
	entry.Version = from.Version
	entry.SealWrap = from.SealWrap
	entry.ExternalEntropyAccess = from.ExternalEntropyAccess
	entry.SyncCache()
	return nil
}

// ClearView deletes what is stored of a mount that is gone here.
func (l *Mounts) ClearView(ctx context.Context, e mounttable.Entry) error {
	entry, err := l.decode(ctx, e)
	if err != nil {
		return err
	}
	return l.clear(ctx, entry.ViewPath())
}

// Changed tells the backend that has a storage key that the key changed.
func (l *Mounts) Changed(ctx context.Context, key string) {
	ctx = root(ctx)
	_, path, prefix, ok := l.router().MatchingAPIPrefixByStoragePath(ctx, key)
	if !ok {
		return
	}
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok || rest == "" {
		return
	}
	if backend := l.router().MatchingBackend(ctx, path); backend != nil {
		backend.InvalidateKey(ctx, rest)
	}
}

// cleanUp ends a backend that the router no longer has, when the requests that
// are in it are done.
func (l *Mounts) cleanUp(ctx context.Context, old routes.Route) {
	l.wait.Go(func() {
		old.Lock().Lock()
		b := *old.Backend()
		*old.Backend() = nil
		old.Lock().Unlock()
		if b != nil {
			b.Cleanup(ctx)
		}
	})
}
