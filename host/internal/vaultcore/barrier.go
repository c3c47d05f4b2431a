// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// openBarrier is the core's barrier with a hook that runs right after it opens. The role is stored behind the barrier,
// and decides what Vault builds at unseal.
type openBarrier struct {
	vault.SecurityBarrier
	inner *vault.AESGCMBarrier

	// opening is held while the barrier is opened. opened says whether the core is unsealed.
	opening sync.Mutex
	opened  func() bool

	onOpen atomic.Pointer[func(context.Context) error]
	onSeal atomic.Pointer[func()]
	// onKeyCheck runs before a check for upgrades; see OnKeyCheck.
	onKeyCheck atomic.Pointer[func(context.Context) error]
	// onTable changes a mount table as the core reads it; see HideMounts.
	onTable atomic.Pointer[func(context.Context, *logical.StorageEntry) error]
}

// Unseal opens the barrier and runs the hook. When the hook fails the barrier
// is closed again: a node that does not know its role must not serve.
func (b *openBarrier) Unseal(ctx context.Context, key []byte) error {
	b.opening.Lock()
	defer b.opening.Unlock()
	sealed, err := b.inner.Sealed()
	if err != nil {
		return err
	}
	if !sealed {
		return b.openAlready()
	}
	if err := b.inner.Unseal(ctx, key); err != nil {
		return err
	}
	hook := b.onOpen.Load()
	if hook == nil {
		return nil
	}
	if err := (*hook)(ctx); err != nil {
		if sealErr := b.inner.Seal(); sealErr != nil {
			return fmt.Errorf("%w (and the barrier could not be sealed again: %w)", err, sealErr)
		}
		return err
	}
	return nil
}

// openPatience is how long a core may take from the opening of its barrier until it counts
// as unsealed.
const openPatience = 10 * time.Second

var errOpenAlready = errors.New("this node was unsealed meanwhile, by a key share that was given before: nothing is " +
	"left to do")

// openAlready refuses to open a core a second time. A node that joins a raft cluster opens in the background, without
// the state lock, and a key share that comes meanwhile would open it again. Vault would then begin a second duty: a
// seal does not wait for its end, and either duty may lead. If a core is still sealed after openPatience, its first
// unseal has failed, and it may try again.
func (b *openBarrier) openAlready() error {
	for last := time.Now().Add(openPatience); time.Now().Before(last); time.Sleep(20 * time.Millisecond) {
		if b.opened() {
			return errOpenAlready
		}
	}
	return nil
}

// Seal runs the hook while the barrier is still open, then closes it.
func (b *openBarrier) Seal() error {
	if sealed, err := b.inner.Sealed(); err == nil && !sealed {
		if hook := b.onSeal.Load(); hook != nil {
			(*hook)()
		}
	}
	return b.inner.Seal()
}

// CheckUpgrade runs the hook first.
func (b *openBarrier) CheckUpgrade(ctx context.Context) (bool, uint32, error) {
	if hook := b.onKeyCheck.Load(); hook != nil {
		if err := (*hook)(ctx); err != nil {
			return false, 0, err
		}
	}
	return b.inner.CheckUpgrade(ctx)
}

// Barrier is the core's barrier: what is stored behind it, and its keys.
type Barrier struct {
	core    *vault.Core
	barrier *openBarrier
}

// OnBarrierOpen sets the hook that runs each time the barrier was opened,
// before Vault builds anything. An error keeps the node sealed.
func (b Barrier) OnBarrierOpen(hook func(context.Context) error) { b.barrier.onOpen.Store(&hook) }

// OnBarrierSeal sets the hook that runs before the barrier is closed.
func (b Barrier) OnBarrierSeal(hook func()) { b.barrier.onSeal.Store(&hook) }

// OnKeyCheck sets the hook that runs before Vault looks whether the keys in storage
// were upgraded: from time to time on a standby, and each time that a node has won the
// leadership, with the core's state lock held. An error that is context.Canceled makes
// the node give up the leadership; after any other Vault shuts the server down.
func (b Barrier) OnKeyCheck(hook func(context.Context) error) { b.barrier.onKeyCheck.Store(&hook) }

// GetEntry reads and decrypts a record, nil when there is none.
func (b Barrier) GetEntry(ctx context.Context, key string) ([]byte, error) {
	e, err := b.barrier.inner.Get(ctx, key)
	if err != nil || e == nil {
		return nil, err
	}
	return e.Value, nil
}

// PutEntry encrypts and writes a record.
func (b Barrier) PutEntry(ctx context.Context, key string, value []byte) error {
	return b.barrier.inner.Put(ctx, &logical.StorageEntry{Key: key, Value: value})
}

// DeleteEntry deletes a record.
func (b Barrier) DeleteEntry(ctx context.Context, key string) error {
	return b.barrier.inner.Delete(ctx, key)
}

// ListEntries lists the names directly below a prefix.
func (b Barrier) ListEntries(ctx context.Context, prefix string) ([]string, error) {
	return b.barrier.inner.List(ctx, prefix)
}

// Encrypt and Decrypt use the barrier's keyring without touching storage.
func (b Barrier) Encrypt(ctx context.Context, key string, plain []byte) ([]byte, error) {
	return b.barrier.inner.Encrypt(ctx, key, plain)
}

// Decrypt is the inverse of Encrypt.
func (b Barrier) Decrypt(ctx context.Context, key string, cipher []byte) ([]byte, error) {
	return b.barrier.inner.Decrypt(ctx, key, cipher)
}

// RootKey is a copy of the root key of the open barrier. The caller wipes it.
func (b Barrier) RootKey() ([]byte, error) {
	// Keyring returns a clone that shares its keys with the live one: the clone
	// must not be wiped.
	ring, err := b.barrier.inner.Keyring()
	if err != nil {
		return nil, err
	}
	return bytes.Clone(ring.RootKey()), nil
}

// VerifyRootKey says whether key is the root key of the open barrier.
func (b Barrier) VerifyRootKey(key []byte) error { return b.barrier.inner.VerifyRoot(key) }

// ReloadKeys has the open barrier take up a keyring and a root key that were applied to storage. After a rotation only
// the new keyring has the key that encrypts the root key. After a rekey only the new root key opens the keyring. So the
// keyring is reloaded before and after the root key, and the first failure means nothing.
func (b Barrier) ReloadKeys(ctx context.Context) error {
	_ = b.barrier.inner.ReloadKeyring(ctx)
	if err := b.barrier.inner.ReloadRootKey(ctx); err != nil {
		return fmt.Errorf("reload of the root key: %w", err)
	}
	if err := b.barrier.inner.ReloadKeyring(ctx); err != nil {
		return fmt.Errorf("reload of the keyring: %w", err)
	}
	return nil
}

// ActiveTerm is the term of the newest key in the open barrier.
func (b Barrier) ActiveTerm() (int, error) {
	info, err := b.barrier.inner.ActiveKeyInfo()
	if err != nil {
		return 0, err
	}
	return info.Term, nil
}

// KeyringTerm is the term of the newest key in a stored keyring; ok is false if the
// root key does not open it.
func KeyringTerm(ctx context.Context, stored, root []byte) (term int, ok bool) {
	b, err := vault.NewAESGCMBarrier(oneRow{value: stored}, false)
	if err != nil {
		return 0, false
	}
	defer func() { _ = b.Seal() }()
	if b.Unseal(ctx, root) != nil {
		return 0, false
	}
	info, err := b.ActiveKeyInfo()
	if err != nil {
		return 0, false
	}
	return info.Term, true
}

// oneRow is a storage that holds a keyring and nothing else.
type oneRow struct {
	physical.Backend
	value []byte
}

func (o oneRow) Get(_ context.Context, key string) (*physical.Entry, error) {
	if key != vaultname.Keyring {
		return nil, nil
	}
	return &physical.Entry{Key: key, Value: o.value}, nil
}
