// SPDX-License-Identifier: MPL-2.0

package keys

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/pause"
)

// SharesRow has the mark of the key shares that open the primary. It is shared. A secondary whose own shares differ
// from the mark asks the primary's host for its keys. The mark can be believed, because only a host with the keyring
// can encrypt it.
const SharesRow = "core/replication-shares"

// sharesInterval is how often a primary looks whether it was rekeyed.
const sharesInterval = 2 * time.Second

// sealRows are the rows that a rekey changes, of unseal and of recovery shares.
var sealRows = []string{vaultname.StoredKeys, vaultname.SealConfig, vaultname.ShamirKey, vaultname.RecoveryConfig,
	vaultname.RecoveryKey}

// Shares looks after the key shares of this cluster: a primary writes the mark of its shares, and a secondary compares
// its own shares with the mark.
type Shares struct {
	records Records
	// own are the shares that open this cluster.
	own   func(context.Context) (*handover.Shares, error)
	store physical.Backend
	// speaks is true on the cluster that writes the shared content of its set. The key shares of that cluster are the
	// key shares of the set.
	speaks func() bool
	logger hclog.Logger
	// came says that the primary's mark was applied.
	came chan struct{}
	// late says why this secondary still has other shares than its primary.
	late atomic.Pointer[string]
	// fit is a digest of the rows and the mark that were found to fit. It saves calls: to open a recovery key, an
	// auto-unseal seal calls a service that counts its calls.
	fit atomic.Pointer[[sha256.Size]byte]
}

// Records are behind the barrier; vaultcore.Core keeps them.
type Records interface {
	GetEntry(ctx context.Context, key string) ([]byte, error)
	PutEntry(ctx context.Context, key string, value []byte) error
}

// NewShares makes a Shares. speaks is true on the cluster that writes the shared content of its set.
func NewShares(core *vaultcore.Core, store physical.Backend, speaks func() bool, logger hclog.Logger) *Shares {
	own := func(ctx context.Context) (*handover.Shares, error) { return handover.SharesOf(ctx, core) }
	return &Shares{records: core, own: own, store: store, speaks: speaks, logger: logger, came: make(chan struct{}, 1)}
}

// Came gets a value when the primary's mark has arrived.
func (k *Shares) Came() <-chan struct{} { return k.came }

// Applied takes notice of a mark that has arrived.
func (k *Shares) Applied() {
	select {
	case k.came <- struct{}{}:
	default:
	}
}

// Note keeps the reason why the primary's shares could not be taken over; nil says that all is well.
func (k *Shares) Note(err error) {
	if err == nil {
		k.late.Store(nil)
		return
	}
	text := "this secondary is opened by the key shares of before a rekey of its primary, and could not take over the " +
		"new ones yet: " + err.Error()
	k.late.Store(&text)
}

// Trouble is one sentence for the status, empty if all is well.
func (k *Shares) Trouble() string {
	if text := k.late.Load(); text != nil {
		return *text
	}
	return ""
}

// Watch keeps the mark of a primary up to date as long as the node is active. Vault writes a rekey row by row and
// notifies nobody, so Watch polls the rows. If they have not changed since the last look, the rekey has ended.
func (k *Shares) Watch(duty context.Context) {
	var last, told []byte
	for pause.For(duty, sharesInterval) == nil {
		if !k.speaks() {
			told = nil
			continue
		}
		now, err := k.rows(duty)
		if err != nil {
			continue
		}
		if bytes.Equal(now, last) && !bytes.Equal(now, told) {
			if err := k.Tell(duty); err != nil {
				if duty.Err() == nil {
					k.logger.Warn("secondaries cannot be told of this cluster's key shares; it is tried again", "error", err)
				}
				continue
			}
			told = now
		}
		last = now
	}
}

// rows is a digest of the rows that a rekey changes, as they are stored.
func (k *Shares) rows(ctx context.Context) ([]byte, error) {
	h := sha256.New()
	for _, key := range sealRows {
		e, err := k.store.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		size := uint64(0)
		if e != nil {
			size = uint64(len(e.Value)) + 1
		}
		_ = binary.Write(h, binary.BigEndian, size)
		if e != nil {
			h.Write(e.Value)
		}
	}
	return h.Sum(nil), nil
}

// Tell writes a new mark if the stored one does not fit the present key shares.
func (k *Shares) Tell(ctx context.Context) error {
	own, err := k.own(ctx)
	if err != nil {
		return err
	}
	defer own.Wipe()
	mark, err := k.mark(ctx)
	if err != nil || mark != nil && mark.Fits(own) {
		return err
	}
	raw, err := own.Mark().Encode()
	if err != nil {
		return err
	}
	k.logger.Info("secondaries are told of this cluster's key shares, and ask for them where theirs are others")
	return k.records.PutEntry(ctx, SharesRow, raw)
}

// mark is the stored mark, nil if there is none.
func (k *Shares) mark(ctx context.Context) (*handover.SharesMark, error) {
	raw, err := k.records.GetEntry(ctx, SharesRow)
	if err != nil || raw == nil {
		return nil, err
	}
	return handover.DecodeSharesMark(raw)
}

// Differ says whether other shares open this secondary than its primary. If the mark cannot be read, the key that
// encrypts it is among the keys that are stored apart.
func (k *Shares) Differ(ctx context.Context) (bool, error) {
	mark, err := k.mark(ctx)
	if err != nil || mark == nil {
		return false, err
	}
	rows, err := k.rows(ctx)
	if err != nil {
		return false, err
	}
	seen := sha256.Sum256(slices.Concat(rows, mark.Salt, mark.Digest))
	if fit := k.fit.Load(); fit != nil && *fit == seen {
		return false, nil
	}
	own, err := k.own(ctx)
	if err != nil {
		return false, fmt.Errorf("the key shares of this cluster cannot be compared with the primary's: %w", err)
	}
	defer own.Wipe()
	if !mark.Fits(own) {
		return true, nil
	}
	k.fit.Store(&seen)
	return false, nil
}
