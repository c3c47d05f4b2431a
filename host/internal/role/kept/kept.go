// SPDX-License-Identifier: MPL-2.0

// Package kept keeps values of a former primary that its successor does not have, until an
// operator removes them: as one encrypted file, cut into rows of the cluster's own storage.
package kept

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/role/former"
	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

const (
	// Prefix is the prefix of the entries of the files, behind the barrier. An entry is written when its file is complete.
	Prefix = records.Prefix + "kept/"
	// piecePrefix is the prefix of the pieces of the files.
	piecePrefix = "replication/kept/"
	// pieceSize is the size of a piece in bytes; every storage accepts it. The places of a file take less.
	pieceSize = 128 << 10
	// pageSize bounds what is read at once, in bytes.
	pageSize = 8 << 20
)

// file is the record of a file.
type file struct {
	Version int `json:"version"`
	endpoints.KeptFile
	Pieces int `json:"pieces"`
	// Key encrypts the pieces. It does not change when the barrier's keys are replaced; only this record is encrypted
	// anew.
	Key []byte `json:"key"`
}

var stored = strictjson.Record{Name: "the record of kept values", Version: 1, Open: true}

// Barrier stores what is encrypted with the keys of the cluster.
type Barrier interface {
	GetEntry(ctx context.Context, key string) ([]byte, error)
	PutEntry(ctx context.Context, key string, value []byte) error
	DeleteEntry(ctx context.Context, key string) error
	ListEntries(ctx context.Context, prefix string) ([]string, error)
}

// Book has the files of a cluster.
type Book struct {
	Barrier Barrier
	Store   physical.Backend // below the tap
}

// Writer writes a file. The file exists only after Close has returned.
type Writer struct {
	book   Book
	ctx    context.Context
	file   *file
	seal   cipher.AEAD
	places map[string]int
	buf    []byte
}

// Write begins a file. It replaces an unfinished one.
func (b Book) Write(ctx context.Context, f endpoints.KeptFile) (*Writer, error) {
	if err := b.deletePieces(ctx, f.ID); err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	seal, err := sealOf(key)
	if err != nil {
		return nil, err
	}
	return &Writer{book: b, ctx: ctx, file: &file{KeptFile: f, Key: key}, seal: seal, places: map[string]int{}}, nil
}

func sealOf(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonceOf is the number of the piece, which is enough because each file has a key of its own.
func nonceOf(seal cipher.AEAD, n int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, seal.NonceSize()-8), uint64(n))
}

func pieceKey(id string, n int) string { return fmt.Sprintf("%s%s/%08d", piecePrefix, id, n) }

// Add adds a value.
func (w *Writer) Add(v endpoints.KeptValue) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.file.Values++
	w.places[v.Place]++
	w.buf = append(w.buf, raw...)
	for len(w.buf) >= pieceSize {
		if err := w.put(w.buf[:pieceSize]); err != nil {
			return err
		}
		w.buf = w.buf[pieceSize:]
	}
	return nil
}

func (w *Writer) put(piece []byte) error {
	n := w.file.Pieces
	sealed := w.seal.Seal(nil, nonceOf(w.seal, n), piece, []byte(w.file.ID))
	if err := w.book.Store.Put(w.ctx, &physical.Entry{Key: pieceKey(w.file.ID, n), Value: sealed}); err != nil {
		return failure.Storage("keep values of this cluster", err)
	}
	w.file.Pieces++
	return nil
}

// Close writes the entry of the file.
func (w *Writer) Close() (*endpoints.KeptFile, error) {
	if len(w.buf) > 0 {
		if err := w.put(w.buf); err != nil {
			return nil, err
		}
	}
	f := w.file
	f.Places = most(former.Sorted(w.places))
	f.Version, f.Kept = stored.Version, time.Now().UTC()
	raw, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	if err := w.book.Barrier.PutEntry(w.ctx, Prefix+f.ID, raw); err != nil {
		return nil, failure.Storage("keep values of this cluster", err)
	}
	return &f.KeptFile, nil
}

// most are the places for which a row has room. The others are joined into one.
func most(places []endpoints.KeptPlace) []endpoints.KeptPlace {
	others, bytes := endpoints.KeptPlace{Place: "other places"}, 0
	for i, p := range places {
		// In JSON a byte of a name may take six, besides the field names and the number.
		if bytes += 6*len(p.Place) + 64; bytes <= pieceSize {
			continue
		}
		for _, p := range places[i:] {
			others.Values += p.Values
		}
		return append(places[:i:i], others)
	}
	return places
}

// Drop deletes the pieces of an unfinished file.
func (w *Writer) Drop() error { return w.book.deletePieces(context.WithoutCancel(w.ctx), w.file.ID) }

// List is all files, the oldest first.
func (b Book) List(ctx context.Context) ([]endpoints.KeptFile, error) {
	ids, err := b.Barrier.ListEntries(ctx, Prefix)
	if err != nil {
		return nil, failure.Storage("list the kept values", err)
	}
	var files []endpoints.KeptFile
	for _, id := range ids {
		f, err := b.get(ctx, id)
		if err != nil {
			return nil, err
		}
		files = append(files, f.KeptFile)
	}
	slices.SortFunc(files, func(a, b endpoints.KeptFile) int { return a.Kept.Compare(b.Kept) })
	return files, nil
}

// Get is the description of a file. The error is NotFound if there is none.
func (b Book) Get(ctx context.Context, id string) (*endpoints.KeptFile, error) {
	f, err := b.get(ctx, id)
	if err != nil {
		return nil, err
	}
	return &f.KeptFile, nil
}

func (b Book) get(ctx context.Context, id string) (*file, error) {
	if records.CheckName(id) != nil {
		return nil, unknown(id)
	}
	raw, err := b.Barrier.GetEntry(ctx, Prefix+id)
	if err != nil {
		return nil, failure.Storage("read what is known of kept values", err)
	}
	if raw == nil {
		return nil, unknown(id)
	}
	f := new(file)
	if err := stored.Decode(raw, f); err != nil {
		return nil, replication.Errorf(replication.StorageFailed, "%w", err)
	}
	return f, nil
}

func unknown(id string) error {
	return replication.Errorf(replication.NotFound, "no values are kept under the id %q: list them to see which there are",
		id)
}

// Read skips a number of values of a file and returns the next ones: at most limit, and none after the one that fills a
// page.
func (b Book) Read(ctx context.Context, id string, skip, limit int) ([]endpoints.KeptValue, error) {
	f, err := b.get(ctx, id)
	if err != nil {
		return nil, err
	}
	seal, err := sealOf(f.Key)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(&reader{ctx: ctx, store: b.Store, file: f, seal: seal})
	var values []endpoints.KeptValue
	for n, bytes := 0, 0; n < f.Values && len(values) < limit && bytes < pageSize; n++ {
		var v endpoints.KeptValue
		if err := d.Decode(&v); err != nil {
			if re := (*replication.Error)(nil); errors.As(err, &re) {
				return nil, err
			}
			return nil, replication.Errorf(replication.StorageFailed, "the kept values %q cannot be read: %w", id, err)
		}
		if n >= skip {
			values = append(values, v)
			bytes += len(v.Key) + len(v.Value)
		}
	}
	return values, nil
}

// reader reads the pieces of a file.
type reader struct {
	ctx   context.Context
	store physical.Backend
	file  *file
	seal  cipher.AEAD
	next  int
	rest  []byte
}

func (r *reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.next == r.file.Pieces {
			return 0, io.EOF
		}
		e, err := r.store.Get(r.ctx, pieceKey(r.file.ID, r.next))
		if err != nil {
			return 0, failure.Storage("read kept values", err)
		}
		if e == nil {
			return 0, replication.Errorf(replication.StorageFailed, "a piece of the kept values %q is missing in storage",
				r.file.ID)
		}
		if r.rest, err = r.seal.Open(nil, nonceOf(r.seal, r.next), e.Value, []byte(r.file.ID)); err != nil {
			return 0, replication.Errorf(replication.StorageFailed, "a piece of the kept values %q was changed in storage",
				r.file.ID)
		}
		r.next++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Remove removes a file.
func (b Book) Remove(ctx context.Context, id string) error {
	f, err := b.Get(ctx, id)
	if err != nil {
		return err
	}
	if err := b.deletePieces(ctx, f.ID); err != nil {
		return err
	}
	if err := b.Barrier.DeleteEntry(ctx, Prefix+f.ID); err != nil {
		return failure.Storage("remove kept values", err)
	}
	return nil
}

func (b Book) deletePieces(ctx context.Context, id string) error {
	keys, err := records.Stored(ctx, b.Store, piecePrefix+id+"/")
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := b.Store.Delete(ctx, key); err != nil {
			return failure.Storage("remove kept values", err)
		}
	}
	return nil
}
