// SPDX-License-Identifier: MPL-2.0

package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// The index of DR mode is stored, by blocks of ranges, so that it is there at once after
// a restart. See docs/adr/0019-a-stored-index.md for what makes it safe. That of
// performance mode is not: what counts there changes with the mounts.

const (
	// DefaultStoreAfter is how long a block of the index is at rest before it is stored
	// again: each time costs its next write a deletion more.
	DefaultStoreAfter = 15 * time.Second
	// storeBlocks is how many are stored together; writes of their keys wait for it.
	storeBlocks = 16
	// storeTimeout bounds how long an end waits for what is not stored yet.
	storeTimeout = 5 * time.Second
)

// indexPrefix is below which the rows of an index are. They are Own, and the cache below
// the tap leaves them alone.
const indexPrefix = "index-dr/pages/"

func isStored(mode replication.Mode) bool { return mode == replication.DR }

// counted identifies what an index counts: it is not the same under another table of
// classes.
var counted = func() (id [16]byte) {
	h := sha256.New()
	for _, r := range keyclass.Rows {
		_, _ = fmt.Fprintf(h, "%q %t %d\n", r.Key, r.Prefix, r.Class)
	}
	copy(id[:], h.Sum(nil))
	return id
}()

// storedIndex is how an index is stored.
type storedIndex struct {
	turn turns       // one at a time
	head []byte      // as this node has written it
	off  atomic.Bool // another node has taken it over, or the storage may be replaced
	// blocks were found when the index began, in order.
	blocks []*fingerprint.Stored
}

// findStored reads what is stored of an index, which Hold keeps writes from, and makes
// this node its owner. What cannot be used is left out with all the rest. An error says
// that the storage does not answer.
func (p *print) findStored(ctx context.Context, t *Tap) error {
	home, blocks := "", []*fingerprint.Stored(nil)
	defer func() { p.index.Release(home, blocks) }()
	if !isStored(p.mode) {
		return nil
	}
	ctx = physical.CacheRefreshContext(ctx, true)
	homes, err := t.homes(ctx)
	if err != nil || len(homes) == 0 {
		return err
	}
	var why error
	if len(homes) > 1 {
		why = fmt.Errorf("there are %d of them", len(homes))
	} else if blocks, why, err = p.readStored(ctx, t, homes[0]); err != nil {
		return err
	}
	if why == nil && blocks != nil {
		head := fingerprint.HeadOf(homes[0])
		p.stored.head = p.index.Hasher().EncodeHead(head, counted, random())
		if err := t.inner.Put(ctx, &physical.Entry{Key: head, Value: p.stored.head}); err != nil {
			return storageFailed("take over the stored index", err)
		}
		home, p.stored.blocks = homes[0], blocks
		return nil
	}
	if why != nil {
		t.logger.Warn("the stored index of the replicated content cannot be used, so all of the content is read", "mode", p.mode, "error", why)
	}
	blocks = nil
	return t.behead(ctx, homes)
}

// homes are the directories of all indexes that are stored.
func (t *Tap) homes(ctx context.Context) (homes []string, err error) {
	names, err := t.inner.List(ctx, indexPrefix)
	if err != nil {
		return nil, storageFailed("list the stored index", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			homes = append(homes, indexPrefix+name)
		}
	}
	return homes, nil
}

// behead makes what is stored below directories count no more.
func (t *Tap) behead(ctx context.Context, homes []string) error {
	for _, home := range homes {
		if err := t.inner.Delete(ctx, fingerprint.HeadOf(home)); err != nil {
			return storageFailed("delete a stored index", err)
		}
	}
	return nil
}

// forgetStored makes a stored index count no more that no running one looks after: keys
// of the content are about to be changed.
func (t *Tap) forgetStored(ctx context.Context) error {
	if t.regime.Load().prints[replication.DR] != nil {
		return nil
	}
	homes, err := t.homes(ctx)
	if err != nil {
		return err
	}
	return t.behead(ctx, homes)
}

// StoredIndexes are the rows without which no index that is stored counts. Who changes
// replicated keys below the tap deletes them with it.
func (t *Tap) StoredIndexes(ctx context.Context) ([]string, error) {
	homes, err := t.homes(ctx)
	for i, home := range homes {
		homes[i] = fingerprint.HeadOf(home)
	}
	return homes, err
}

// readStored reads the rows of a directory: none if it has no head, or if a former set's;
// why says what is wrong with them.
func (p *print) readStored(ctx context.Context, t *Tap, home string) (blocks []*fingerprint.Stored, why, err error) {
	names, err := t.inner.List(ctx, home)
	if err != nil {
		return nil, nil, storageFailed("list the stored index", err)
	}
	head := fingerprint.HeadOf(home)
	keys := []string{head}
	for _, name := range names {
		if key := home + name; key != head {
			keys = append(keys, key)
		}
	}
	values, err := t.getAll(ctx, keys)
	if err != nil {
		return nil, nil, storageFailed("read the stored index", err)
	}
	if values[0] == nil {
		return nil, nil, nil
	}
	h := p.index.Hasher()
	of, why := h.DecodeHead(head, values[0])
	switch {
	case why != nil:
		return nil, why, nil
	case of != counted:
		return nil, fmt.Errorf("it is of another version, which counts other keys"), nil
	}
	blocks = []*fingerprint.Stored{}
	for i, key := range keys[1:] {
		if values[i+1] == nil {
			continue
		}
		b, err := h.Decode(key, values[i+1])
		if err != nil {
			return nil, err, nil
		}
		blocks = append(blocks, b)
	}
	slices.SortFunc(blocks, func(a, b *fingerprint.Stored) int { return strings.Compare(a.After, b.After) })
	for i := 1; i < len(blocks); i++ {
		if last := blocks[i-1].UpTo(); last == "" || last > blocks[i].After {
			return nil, fmt.Errorf("two of its rows have the keys after %q", blocks[i].After), nil
		}
	}
	return blocks, nil, nil
}

// takeStored makes the index of the blocks that are stored, and reads what is not.
func (p *print) takeStored(ctx context.Context, t *Tap) (done bool, err error) {
	blocks := p.stored.blocks
	pass := p.index.Begin()
	defer pass.End()
	dirs := newListing(t.inner)
	read, after := 0, ""
	gap := func(upTo string) error {
		w, err := newWalk(ctx, dirs, after)
		if err != nil {
			return err
		}
		for pass.Current() {
			keys, err := w.group(ctx, func(key string) bool { return t.classes.Replicated(p.mode, key) }, upTo)
			if err != nil || len(keys) == 0 {
				return err
			}
			read += len(keys)
			p.indexing.progress(len(keys))
			if err := readPass(ctx, t, pass, keys); err != nil {
				return err
			}
		}
		return nil
	}
	for _, b := range blocks {
		if b.After != after {
			if err := gap(b.After); err != nil {
				return false, err
			}
			after = b.After
		}
		taken := false
		for !taken {
			var created []string
			var ok bool
			if created, taken, ok = pass.Take(b); !ok {
				return false, nil
			}
			if len(created) == 0 {
				break
			}
			if err := readPass(ctx, t, pass, created); err != nil {
				return false, err
			}
		}
		if !taken {
			if err := gap(b.UpTo()); err != nil {
				return false, err
			}
		}
		if after = b.UpTo(); after == "" {
			break
		}
	}
	if after != "" || len(blocks) == 0 {
		if err := gap(""); err != nil {
			return false, err
		}
	}
	_, done, err = finishPass(ctx, t, pass)
	if done {
		_, keys := p.index.Root()
		t.logger.Info("the index of the replicated content was stored, and is compared with the storage now", "mode", p.mode, "keys", keys, "read", read)
	}
	return done, err
}

// store stores what was not touched since a moment.
func (p *print) store(ctx context.Context, t *Tap, before time.Time) error {
	s := &p.stored
	end, err := s.turn.take(ctx)
	if err != nil {
		return err
	}
	defer end()
	if s.off.Load() || !isStored(p.mode) || !p.index.Known() || p.index.Overgrown() || t.progress[p.mode].isCopying() {
		return nil
	}
	home := p.index.Home()
	if home == "" {
		if home, err = p.newHome(ctx, t); err != nil || home == "" {
			return err
		}
	}
	first := true
	for ctx.Err() == nil {
		batch := p.index.Store(before, storeBlocks)
		if batch == nil {
			return nil
		}
		if first {
			err = p.owned(ctx, t, home)
			first = false
		}
		if err == nil && !s.off.Load() {
			err = t.storeRows(ctx, batch.Blocks, p.index.Hasher())
		}
		batch.End(err == nil && !s.off.Load())
		if err != nil {
			return storageFailed("store the index of the replicated content", err)
		}
		if s.off.Load() {
			return nil
		}
	}
	return ctx.Err()
}

// rest ends storing, and waits for it until the context ends.
func (p *print) rest(ctx context.Context) {
	p.stored.off.Store(true)
	if end, err := p.stored.turn.take(ctx); err == nil {
		end()
	}
}

// owned looks whether the head is still the one that this node has written: a leader
// that was deposed must not store what it does not know of.
func (p *print) owned(ctx context.Context, t *Tap, home string) error {
	b, err := t.readFresh(ctx, fingerprint.HeadOf(home))
	if err != nil {
		return err
	}
	if !bytes.Equal(b, p.stored.head) {
		p.stored.off.Store(true)
		t.logger.Warn("the stored index of the replicated content is another node's now, so this one does not store it any more", "mode", p.mode)
	}
	return nil
}

// newHome makes a place for the rows of an index, and removes what is left of others.
// It is empty, without an error, if the index was lost meanwhile.
func (p *print) newHome(ctx context.Context, t *Tap) (string, error) {
	lost := p.index.Lost()
	if err := p.unstore(ctx, t); err != nil {
		return "", err
	}
	homes, err := t.homes(ctx)
	if err != nil {
		return "", err
	}
	for _, home := range homes {
		if err := t.deleteStored(ctx, home); err != nil {
			return "", err
		}
	}
	id := random()
	home := indexPrefix + hex.EncodeToString(id[:8]) + "/"
	head := fingerprint.HeadOf(home)
	p.stored.head = p.index.Hasher().EncodeHead(head, counted, random())
	if err := t.inner.Put(ctx, &physical.Entry{Key: head, Value: p.stored.head}); err != nil {
		return "", storageFailed("begin to store the index", err)
	}
	if !p.index.SetHome(home, lost) {
		return "", nil
	}
	return home, nil
}

// unstore deletes the heads of what does not count any more.
func (p *print) unstore(ctx context.Context, t *Tap) error {
	for _, head := range p.index.Heads() {
		if err := t.inner.Delete(ctx, head); err != nil {
			return storageFailed("delete a stored index", err)
		}
		p.index.Headless(head)
	}
	return nil
}

// unstoreLost deletes what is stored of indexes that were invalidated because it is wrong.
func (t *Tap) unstoreLost(ctx context.Context, r *regime) error {
	for _, p := range r.prints {
		if err := p.unstore(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// deleteStored deletes the rows of a directory, the head first.
func (t *Tap) deleteStored(ctx context.Context, home string) error {
	names, err := t.inner.List(ctx, home)
	if err != nil {
		return storageFailed("list a stored index", err)
	}
	head := fingerprint.HeadOf(home)
	if err := t.inner.Delete(ctx, head); err != nil {
		return storageFailed("delete a stored index", err)
	}
	var txn []*physical.TxnEntry
	for _, name := range names {
		if key := home + name; key != head {
			txn = append(txn, &physical.TxnEntry{Operation: physical.DeleteOperation, Entry: &physical.Entry{Key: key}})
		}
	}
	for _, piece := range t.split(txn) {
		if err := t.store(ctx, piece); err != nil {
			return storageFailed("delete a stored index", err)
		}
	}
	return nil
}

// storeRows stores blocks: of each, what is to go first. Cut anywhere, a row that is
// there is right.
func (t *Tap) storeRows(ctx context.Context, blocks []fingerprint.StoringBlock, h *fingerprint.Hasher) error {
	var txn []*physical.TxnEntry
	for i := range blocks {
		for _, row := range blocks[i].Drop {
			txn = append(txn, &physical.TxnEntry{Operation: physical.DeleteOperation, Entry: &physical.Entry{Key: row}})
		}
	}
	for i := range blocks {
		e := &physical.Entry{Key: blocks[i].Row, Value: h.Encode(&blocks[i].Stored)}
		txn = append(txn, &physical.TxnEntry{Operation: physical.PutOperation, Entry: e})
	}
	for _, piece := range t.split(txn) {
		if err := t.store(ctx, piece); err != nil {
			return err
		}
	}
	return nil
}

func random() (b [16]byte) {
	_, _ = rand.Read(b[:])
	return b
}
