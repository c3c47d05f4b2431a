// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/routes"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Backends has the hooks for the backends that a core builds.
type Backends struct {
	core   *vault.Core
	stored Barrier

	mu           sync.Mutex
	onBackend    map[string]func(*framework.Backend) error
	onReady      func(context.Context)
	onActive     func(context.Context)
	onInactive   func()
	savedLogical map[string]logical.Factory
	savedAuth    map[string]logical.Factory
}

// OnCoreBackend sets the hook of one of the backends that keep their concrete
// type, vaultname.System, Identity or Token: it sees the backend each time one is
// made, before it serves: its paths may be replaced then. The role of the cluster
// is known by then. An error keeps the node sealed.
func (k *Backends) OnCoreBackend(kind string, hook func(*framework.Backend) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.onBackend[kind] = hook
}

// OnActive sets the hook that runs when the node has become active, just before
// it serves. It must not block; the context ends with the active duty.
func (k *Backends) OnActive(hook func(context.Context)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.onActive = hook
}

// OnInactive sets the hook that runs when the active duty ends, by a seal, a
// step-down or a loss of leadership, before the mounts are unloaded.
func (k *Backends) OnInactive(hook func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.onInactive = hook
}

// OnBackendsReady sets the hook that runs at the end of each unseal, when all
// mounts are set up and before any request is served, ahead of [Core.OnActive]'s.
// It must not block; the context ends with the active duty.
func (k *Backends) OnBackendsReady(hook func(context.Context)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.onReady = hook
}

// hookCoreBackends wraps the factories of the core's own backends. Only there can a hook get both the backend and the
// moment: factories run while the mounts are set up, at each start of active duty.
func (k *Backends) hookCoreBackends() {
	engines := *pinned.Field[map[string]logical.Factory](k.core, "logicalBackends")
	methods := *pinned.Field[map[string]logical.Factory](k.core, "credentialBackends")
	engines["system"] = k.hooked(vaultname.System, engines["system"])
	engines["identity"] = k.hooked(vaultname.Identity, engines["identity"])
	methods["token"] = k.hooked(vaultname.Token, methods["token"])
}

// hooked is a factory whose backends pass the hook.
func (k *Backends) hooked(kind string, stock logical.Factory) logical.Factory {
	return func(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
		b, err := stock(ctx, conf)
		if err != nil {
			return nil, err
		}
		inner, err := frameworkOf(b)
		if err != nil {
			return nil, err
		}
		k.mu.Lock()
		hook := k.onBackend[kind]
		k.mu.Unlock()
		if hook != nil {
			if err := hook(inner); err != nil {
				return nil, err
			}
		}
		if kind == vaultname.System {
			k.hookDuty(inner)
		}
		return b, nil
	}
}

// frameworkOf is the framework backend in one of the core's own backends.
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

// hookDuty ties the hooks of the active duty to the system backend, which lives as long as the duty. The backend's end
// also ends the context of the duty, because Vault leaves its own context open when it has initialised a cluster.
func (k *Backends) hookDuty(sys *framework.Backend) {
	k.mu.Lock()
	onReady, onActive, onInactive := k.onReady, k.onActive, k.onInactive
	k.mu.Unlock()
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
	later := pinned.Field[[]func()](k.core, "postUnsealFuncs")
	*later = append(*later, func() {
		var active context.Context
		//nolint:gosec // the clean-up above calls end
		active, end = context.WithCancel(*pinned.Field[context.Context](k.core, "activeContext"))
		storeMovedQuotas(k.core)
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
func (k *Backends) SetInertBackends(ctx context.Context, inert bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	logicalSlot := pinned.Field[map[string]logical.Factory](k.core, "logicalBackends")
	authSlot := pinned.Field[map[string]logical.Factory](k.core, "credentialBackends")
	if k.savedLogical == nil {
		k.savedLogical, k.savedAuth = *logicalSlot, *authSlot
	}
	if !inert {
		*logicalSlot, *authSlot = k.savedLogical, k.savedAuth
		return nil
	}
	types, err := k.mountedTypes(ctx)
	if err != nil {
		return err
	}
	*logicalSlot = inertFactories(k.savedLogical, types, logical.TypeLogical)
	*authSlot = inertFactories(k.savedAuth, types, logical.TypeCredential)
	return nil
}

// mountedTypes are the types in all mount tables, built in or not.
func (k *Backends) mountedTypes(ctx context.Context) ([]string, error) {
	var types []string
	for _, table := range []string{vaultname.Mounts, vaultname.LocalMounts, vaultname.Auth, vaultname.LocalAuth} {
		decoded, err := k.stored.StoredTable(ctx, table)
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

func inertFactories(stock map[string]logical.Factory, types []string,
	kind logical.BackendType) map[string]logical.Factory {
	out := maps.Clone(stock)
	for _, t := range slices.AppendSeq(slices.Clip(types), maps.Keys(stock)) {
		if !routes.OfCore(t) {
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
