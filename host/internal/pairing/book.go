// SPDX-License-Identifier: MPL-2.0

package pairing

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// KeySize is the size of a pairing key, in bytes.
const KeySize = 32

// Store keeps the records behind the barrier.
type Store interface {
	GetEntry(ctx context.Context, key string) ([]byte, error)
	PutEntry(ctx context.Context, key string, value []byte) error
	DeleteEntry(ctx context.Context, key string) error
	ListEntries(ctx context.Context, prefix string) ([]string, error)
}

// Book has the secondaries of a primary in each mode.
type Book struct {
	store Store
	// below returns the prefix of a mode's records.
	below func(replication.Mode) string

	// changing is held while a record changes.
	changing sync.Mutex
}

// New makes a book over records that are kept below a prefix for each mode.
func New(store Store, below func(replication.Mode) string) *Book {
	return &Book{store: store, below: below}
}

// Prefixes are the prefixes of the records of a mode. A cluster that leaves the set deletes these records.
func (b *Book) Prefixes(mode replication.Mode) []string {
	return []string{b.below(mode) + "pairing/", b.below(mode) + "revoked/", b.below(mode) + "marks/"}
}

func (b *Book) paired(mode replication.Mode, id string) string {
	return b.below(mode) + "pairing/" + hex.EncodeToString([]byte(id))
}

func (b *Book) revoked(mode replication.Mode, id string) string {
	return b.below(mode) + "revoked/" + hex.EncodeToString([]byte(id))
}

func (b *Book) marks(mode replication.Mode, id string) string {
	return b.below(mode) + "marks/" + hex.EncodeToString([]byte(id))
}

// Values of the record of a revocation.
var (
	untold = []byte("the plugin has not been told")
	told   = []byte("the plugin has been told")
)

// record is a secondary's key, and after it the hash of its certificate. Release 0.1.0 kept
// the key alone.
type record []byte

func newRecord(key, certificate []byte) record {
	return append(append(make(record, 0, KeySize+sha256.Size), key...), certificate...)
}

func (r record) key() []byte { return r[:KeySize] }

func (r record) certificate() []byte { return r[KeySize:] }

// check refuses every certificate but the recorded one, by its hash.
func (r record) check(id string, hash []byte) error {
	if subtle.ConstantTimeCompare(r.certificate(), hash) == 1 {
		return nil
	}
	return replication.Errorf(replication.Denied,
		"this is not the certificate that was made for the secondary %q: join it with a new activation token", id)
}

func (b *Book) read(ctx context.Context, mode replication.Mode, id string) (record, error) {
	if raw, err := b.store.GetEntry(ctx, b.revoked(mode, id)); err != nil {
		return nil, err
	} else if raw != nil {
		return nil, replication.Errorf(replication.Denied,
			"the secondary %q was revoked: join it with a new activation token", id)
	}
	raw, err := b.store.GetEntry(ctx, b.paired(mode, id))
	switch {
	case err != nil:
		return nil, err
	case raw == nil:
		return nil, replication.Errorf(replication.Denied,
			"there is no secondary %q of this primary, or it was revoked", id)
	case len(raw) != KeySize && len(raw) != KeySize+sha256.Size:
		return nil, replication.Errorf(replication.Internal,
			"the record of the secondary %q has %d bytes: revoke it and join it with a new activation token", id, len(raw))
	}
	return raw, nil
}

// Add records a secondary. Its certificate must name its id. From then on the id has only this certificate, even if it
// was recorded or revoked before.
func (b *Book) Add(ctx context.Context, mode replication.Mode, id string, certificate, key []byte) error {
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return replication.Errorf(replication.Internal,
			"the plugin made a certificate for %q that cannot be read: %w", id, err)
	}
	if leaf.Subject.CommonName != id {
		return replication.Errorf(replication.Internal,
			"the plugin made a certificate of %q in place of one for %q", leaf.Subject.CommonName, id)
	}
	hash := sha256.Sum256(certificate)
	b.changing.Lock()
	defer b.changing.Unlock()
	if err := b.CheckTold(ctx, mode, id); err != nil {
		return err
	}
	if err := b.store.PutEntry(ctx, b.paired(mode, id), newRecord(key, hash[:])); err != nil {
		return replication.Errorf(replication.StorageFailed, "the record of secondary %q could not be stored: %w", id, err)
	}
	// This comes last. A crash in between leaves both records, and the refusal wins.
	if err := b.store.DeleteEntry(ctx, b.revoked(mode, id)); err != nil {
		return replication.Errorf(replication.StorageFailed,
			"the revocation of %q could not be lifted, and it stays refused: ask for another token: %w", id, err)
	}
	return nil
}

// CheckTold refuses an id whose revocation the plugin has not heard of yet. When the plugin hears of it, it would
// refuse the new certificate.
func (b *Book) CheckTold(ctx context.Context, mode replication.Mode, id string) error {
	raw, err := b.store.GetEntry(ctx, b.revoked(mode, id))
	if err != nil || raw == nil || string(raw) == string(told) {
		return err
	}
	return replication.Errorf(replication.Unavailable,
		"the replication plugin is still to hear that the secondary %q was revoked: try again in a moment", id)
}

// Key returns the pairing key of a secondary. Denied if the secondary is unknown or
// revoked.
func (b *Book) Key(ctx context.Context, mode replication.Mode, id string) ([]byte, error) {
	r, err := b.read(ctx, mode, id)
	if err != nil {
		return nil, err
	}
	key := append([]byte(nil), r.key()...)
	clear(r)
	return key, nil
}

// Marks returns a key that only this host has. With it the host marks positions that it gives to a secondary, and
// recognises them later. The key is stored before its first use.
func (b *Book) Marks(ctx context.Context, mode replication.Mode, id string) ([]byte, error) {
	b.changing.Lock()
	defer b.changing.Unlock()
	key, err := b.store.GetEntry(ctx, b.marks(mode, id))
	if err != nil || len(key) == KeySize {
		return key, err
	}
	key = make([]byte, KeySize)
	_, _ = rand.Read(key) // it never fails
	if err := b.store.PutEntry(ctx, b.marks(mode, id), key); err != nil {
		return nil, replication.Errorf(replication.StorageFailed, "a key of the secondary %q could not be stored: %w", id,
			err)
	}
	return key, nil
}

// Admit returns the secondary that a certificate was recorded for. Denied if there is none,
// or if it was revoked.
func (b *Book) Admit(ctx context.Context, mode replication.Mode, leaf *x509.Certificate) (id string, err error) {
	id = leaf.Subject.CommonName
	r, err := b.read(ctx, mode, id)
	if err != nil {
		return id, err
	}
	defer clear(r)
	hash := sha256.Sum256(leaf.Raw)
	if len(r.certificate()) == 0 {
		return id, b.complete(ctx, mode, id, hash[:])
	}
	return id, r.check(id, hash[:])
}

// complete records the certificate of a secondary that release 0.1.0 has paired: the first that comes for the id and
// that the set's authority has signed. In that release an id had one certificate for all its life.
func (b *Book) complete(ctx context.Context, mode replication.Mode, id string, hash []byte) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	r, err := b.read(ctx, mode, id)
	if err != nil {
		return err
	}
	defer clear(r)
	if len(r.certificate()) != 0 {
		return r.check(id, hash)
	}
	return b.store.PutEntry(ctx, b.paired(mode, id), newRecord(r.key(), hash))
}

// Revoke refuses a secondary from the moment it returns, also after a crash. Known is
// false, and nothing is changed, for an id that this host never paired or has revoked
// already.
func (b *Book) Revoke(ctx context.Context, mode replication.Mode, id string) (known bool, err error) {
	b.changing.Lock()
	defer b.changing.Unlock()
	raw, err := b.store.GetEntry(ctx, b.paired(mode, id))
	if err != nil || raw == nil {
		return false, err
	}
	// This comes first. A crash in between leaves both records, and the refusal wins.
	if err := b.store.PutEntry(ctx, b.revoked(mode, id), untold); err != nil {
		return true, replication.Errorf(replication.StorageFailed,
			"the revocation of %q could not be stored, and it is not revoked: %w", id, err)
	}
	if err := b.store.DeleteEntry(ctx, b.paired(mode, id)); err != nil {
		return true, replication.Errorf(replication.StorageFailed,
			"the secondary %q is revoked, but its key could not be deleted: revoke it again: %w", id, err)
	}
	// Nobody checks marks under this key any more. It does no harm if it stays.
	_ = b.store.DeleteEntry(ctx, b.marks(mode, id))
	return true, nil
}

// Untold are the revoked ids that the plugin of a mode has not been told of.
func (b *Book) Untold(ctx context.Context, mode replication.Mode) ([]string, error) {
	prefix := b.below(mode) + "revoked/"
	names, err := b.store.ListEntries(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, name := range names {
		raw, err := b.store.GetEntry(ctx, prefix+name)
		if err != nil {
			return nil, err
		}
		id, err := hex.DecodeString(strings.TrimSuffix(name, "/"))
		if err != nil {
			return nil, fmt.Errorf("the record %q of a revocation cannot be read: %w", name, err)
		}
		if string(raw) != string(told) {
			ids = append(ids, string(id))
		}
	}
	return ids, nil
}

// Told notes that the plugin knows of a revocation, or never knew the id.
func (b *Book) Told(ctx context.Context, mode replication.Mode, id string) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	return b.store.PutEntry(ctx, b.revoked(mode, id), told)
}
