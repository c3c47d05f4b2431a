// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"fmt"
	"maps"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/vaultcore/internal/pinned"
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

// OnSystemBackend sets the hook that sees the system backend each time one is
// made, before it serves: its paths may be replaced then. An error keeps the
// node sealed.
func (c *Core) OnSystemBackend(hook func(*framework.Backend) error) {
	c.OnCoreBackend(vaultname.System, hook)
}

// OnCoreBackend sets the hook of one of the backends that keep their concrete
// type, vaultname.System, Identity or Token: it sees the backend each time one is
// made, before it serves. The role of the cluster is known by then. An error
// keeps the node sealed.
func (c *Core) OnCoreBackend(kind string, hook func(*framework.Backend) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onBackend[kind] = hook
}

// OnActive sets the hook that runs when the node has become active, just before
// it serves. It must not block; the context ends with the active duty.
func (c *Core) OnActive(hook func(context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onActive = hook
}

// OnInactive sets the hook that runs when the active duty ends, by a seal, a
// step-down or a loss of leadership, before the mounts are unloaded.
func (c *Core) OnInactive(hook func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onInactive = hook
}

// hookCoreBackends wraps the factories of the core's own backends. They run while
// the mounts are set up, at each start of active duty, which makes them the one
// place where both the backend and the moment can be had.
func (c *Core) hookCoreBackends() {
	engines := *pinned.Field[map[string]logical.Factory](c.Core, "logicalBackends")
	methods := *pinned.Field[map[string]logical.Factory](c.Core, "credentialBackends")
	engines["system"] = c.hooked(vaultname.System, engines["system"])
	engines["identity"] = c.hooked(vaultname.Identity, engines["identity"])
	methods["token"] = c.hooked(vaultname.Token, methods["token"])
}

// hooked is a factory whose backends pass the hook.
func (c *Core) hooked(kind string, stock logical.Factory) logical.Factory {
	return func(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
		b, err := stock(ctx, conf)
		if err != nil {
			return nil, err
		}
		inner, err := frameworkOf(b)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		hook := c.onBackend[kind]
		c.mu.Unlock()
		if hook != nil {
			if err := hook(inner); err != nil {
				return nil, err
			}
		}
		if kind == vaultname.System {
			c.hookDuty(inner)
		}
		return b, nil
	}
}

// frameworkOf is what one of the core's own backends is made of.
func frameworkOf(b logical.Backend) (*framework.Backend, error) {
	switch b := b.(type) {
	case *vault.SystemBackend:
		return b.Backend, nil
	case *vault.IdentityStore:
		return b.Backend, nil
	case *vault.TokenStore:
		return b.Backend, nil
	default:
		return nil, fmt.Errorf("one of the core's own backends is a %T: replication cannot attach to it", b)
	}
}

// hookDuty ties the hooks of the active duty to the system backend, which lives
// as long. The backend's end ends the context of the duty too: Vault leaves its own
// open when it has initialised a cluster.
func (c *Core) hookDuty(sys *framework.Backend) {
	c.mu.Lock()
	onReady, onActive, onInactive := c.onReady, c.onActive, c.onInactive
	c.mu.Unlock()
	var end context.CancelFunc // while the backend is set up, or the duty begins or ends: never two at once
	stockClean := sys.Clean
	sys.Clean = func(ctx context.Context) {
		if end != nil {
			end()
		}
		if onInactive != nil {
			onInactive()
		}
		if stockClean != nil {
			stockClean(ctx)
		}
	}
	later := pinned.Field[[]func()](c.Core, "postUnsealFuncs")
	*later = append(*later, func() {
		var active context.Context
		active, end = context.WithCancel(*pinned.Field[context.Context](c.Core, "activeContext")) //nolint:gosec // the clean-up above calls end
		if onReady != nil {
			onReady(active)
		}
		if onActive != nil {
			onActive(active)
		}
	})
}

// SetInertBackends decides whether the engines and auth methods that are set up
// at the next unseal are real or inert. Inert ones hold their place in the
// router, run nothing and refuse every request: a disaster-recovery secondary
// must not start plugins, queues or timers (Vault's own build for it does not
// either). It is called from the barrier hook, while nothing runs; it reads the
// mount tables for the names of types that are not built in.
func (c *Core) SetInertBackends(ctx context.Context, inert bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	logicalSlot := pinned.Field[map[string]logical.Factory](c.Core, "logicalBackends")
	authSlot := pinned.Field[map[string]logical.Factory](c.Core, "credentialBackends")
	if c.savedLogical == nil {
		c.savedLogical, c.savedAuth = *logicalSlot, *authSlot
	}
	if !inert {
		*logicalSlot, *authSlot = c.savedLogical, c.savedAuth
		return nil
	}
	types, err := c.mountedTypes(ctx)
	if err != nil {
		return err
	}
	*logicalSlot = inertFactories(c.savedLogical, types, logical.TypeLogical)
	*authSlot = inertFactories(c.savedAuth, types, logical.TypeCredential)
	return nil
}

// mountedTypes are the types in all mount tables, built in or not.
func (c *Core) mountedTypes(ctx context.Context) ([]string, error) {
	var types []string
	for _, table := range []string{vaultname.Mounts, vaultname.LocalMounts, vaultname.Auth, vaultname.LocalAuth} {
		decoded, err := c.StoredTable(ctx, table)
		if err != nil {
			return nil, err
		}
		if decoded == nil {
			continue
		}
		for _, e := range decoded.Entries {
			types = append(types, e.Type)
		}
	}
	return types, nil
}

func inertFactories(stock map[string]logical.Factory, types []string, kind logical.BackendType) map[string]logical.Factory {
	out := maps.Clone(stock)
	for t := range stock {
		if !coreBackends[t] {
			out[t] = inertFactory(kind)
		}
	}
	for _, t := range types {
		if !coreBackends[t] {
			out[t] = inertFactory(kind)
		}
	}
	return out
}

func inertFactory(kind logical.BackendType) logical.Factory {
	return func(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
		b := &inertBackend{framework.Backend{
			BackendType: kind,
			Help:        "This mount is inert: the cluster is a disaster-recovery secondary.",
		}}
		if err := b.Setup(ctx, conf); err != nil {
			return nil, err
		}
		return b, nil
	}
}

// inertBackend refuses everything.
type inertBackend struct{ framework.Backend }

func (b *inertBackend) HandleRequest(context.Context, *logical.Request) (*logical.Response, error) {
	return nil, logical.ErrUnsupportedPath
}
