// SPDX-License-Identifier: MPL-2.0

package live

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/routes"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Reload ends the backend of a mount, with the process of its plugin, and puts a new
// one in its place. Requests that come meanwhile wait for that; none meets a backend
// that is not wrapped. Nothing is stored: what runs is in the entry in memory alone,
// for the table is the primary's. When the new one cannot be made the mount is left
// with the old one, which has ended, as by Vault's own reload.
//
// It may be called beside the other methods. Who changes the mount first wins.
func (l *Mounts) Reload(ctx context.Context, table, uuid string) error {
	entry, err := l.entry(table, uuid)
	if err != nil {
		return err
	}
	old, ok := l.router().At(routes.Path(entry))
	if !ok {
		return fmt.Errorf("the mount %s is not in the router", entry.Path)
	}
	put := func() (logical.Backend, error) {
		made, view, err := l.build(table, entry)
		if err != nil {
			return nil, err
		}
		if err := l.router().Replace(entry, old, made, view); err != nil {
			l.discard(made)
			return nil, err
		}
		return made, nil
	}
	old.Lock().RLock()
	running := *old.Backend()
	old.Lock().RUnlock()
	if running == nil {
		_, err := put()
		return err
	}
	b, ok := running.(routes.Replaceable)
	if !ok {
		return fmt.Errorf("the backend at %s is not one of those that this secondary puts in front of engines: try again "+
			"in a moment", entry.Path)
	}
	return b.Replace(ctx, func(inner logical.Backend) (logical.Backend, error) {
		inner.Cleanup(context.WithValue(ctx, plugin.ContextKeyPluginReload, "reload"))
		return put()
	})
}

// ReloadMounts reloads the mounts at these paths, as they are given in a request.
func (l *Mounts) ReloadMounts(ctx context.Context, paths []string) error {
	var all error
	for _, path := range paths {
		if err := l.reloadAt(ctx, path); err != nil {
			all = errors.Join(all, fmt.Errorf("cannot reload plugin on %q: %w", path, err))
		}
	}
	return all
}

func (l *Mounts) reloadAt(ctx context.Context, path string) error {
	// "sys/auth/ldap" means auth/ldap/ too.
	if method, ok := strings.CutPrefix(path, "sys/auth/"); ok {
		path = "auth/" + method
	}
	m, ok := routes.Of(l.core).MountAt(strings.TrimSuffix(path, "/") + "/")
	switch {
	case !ok:
		return errors.New("there is no mount")
	case routes.OfCore(m.Type):
		return nil // the core itself is made of it
	case m.Class == "auth":
		return l.Reload(ctx, vaultname.Auth, m.UUID)
	default:
		return l.Reload(ctx, vaultname.Mounts, m.UUID)
	}
}

// ReloadPlugin reloads what runs a plugin of a kind ("auth", "secret", "database" or
// "unknown", which is all of them) and says how many.
func (l *Mounts) ReloadPlugin(ctx context.Context, kind, name string) (reloaded int, err error) {
	var all error
	each := func(table string, do func(*vault.MountEntry) (int, error)) {
		for _, e := range l.entries(table) {
			n, err := do(e)
			if err != nil {
				err = fmt.Errorf("cannot reload plugin %q on %s: %w", name, e.Path, err)
			}
			reloaded, all = reloaded+n, errors.Join(all, err)
		}
	}
	ofTable := func(table string) func(*vault.MountEntry) (int, error) {
		return func(e *vault.MountEntry) (int, error) {
			if routes.OfCore(e.Type) || e.Type != name && (e.Type != "plugin" || e.Config.PluginName != name) {
				return 0, nil
			}
			if err := l.Reload(ctx, table, e.UUID); err != nil {
				return 0, err
			}
			return 1, nil
		}
	}
	if kind == "secret" || kind == "unknown" {
		each(vaultname.Mounts, ofTable(vaultname.Mounts))
	}
	if kind == "database" || kind == "unknown" {
		each(vaultname.Mounts, func(e *vault.MountEntry) (int, error) {
			if e.Type != "database" || e.Type == name {
				return 0, nil
			}
			return l.reloadConnections(ctx, e, name)
		})
	}
	if kind == "auth" || kind == "unknown" {
		each(vaultname.Auth, ofTable(vaultname.Auth))
	}
	return reloaded, all
}

// reloadConnections reloads a plugin of databases within a database engine, which
// alone knows which of its connections use it.
func (l *Mounts) reloadConnections(ctx context.Context, e *vault.MountEntry, name string) (int, error) {
	resp, err := l.router().Route(root(ctx), &logical.Request{Operation: logical.UpdateOperation,
		Path: e.Path + "reload/" + name})
	switch {
	case err != nil:
		return 0, err
	case resp == nil:
		return 0, errors.New("the engine has not answered")
	case resp.IsError():
		return 0, resp.Error()
	}
	n, _ := resp.Data["count"].(int)
	return n, nil
}
