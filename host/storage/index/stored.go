// SPDX-License-Identifier: MPL-2.0

package index

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// The index is stored, in blocks of ranges, so that it is there at once after a restart. See
// docs/adr/0019-a-stored-index.md for what makes it safe.

const (
	// DefaultStoreAfter is how long a block has no write before it is stored again. Each time it is stored, its next write
	// costs one more deletion.
	DefaultStoreAfter = 15 * time.Second
	// storeBlocks is how many blocks are stored together; writes of their keys wait meanwhile.
	storeBlocks = 16
	// storeTimeout bounds the time for storing when an index ends.
	storeTimeout = 5 * time.Second
)

// counting identifies which keys an index counts.
type counting [16]byte

// tableCounting identifies the table of classes.
var tableCounting = func() (id counting) {
	h := sha256.New()
	for _, r := range keyclass.Rows {
		_, _ = fmt.Fprintf(h, "%q %t %d\n", r.Key, r.Prefix, r.Class)
	}
	copy(id[:], h.Sum(nil))
	return id
}()

// counts identifies which keys the index of a mode counts. If that depends on the mounts, it is as of the last
// SettleClasses.
func (x *Indexes) counts(mode replication.Mode) counting {
	classes := x.settled.Load()
	if !keyclass.ByMount(mode) || classes == nil {
		return tableCounting
	}
	h := sha256.New()
	h.Write(tableCounting[:])
	h.Write(classes[:])
	return counting(h.Sum(nil)[:16])
}

// SettleClasses says that the indexes count by the present classes of keys.
func (x *Indexes) SettleClasses() {
	if m := x.below.Classes().Mounts(); m != nil {
		classes := m.Classes()
		x.settled.Store(&classes)
	}
}

// storedIndex is the stored form of an index.
type storedIndex struct {
	turn lock.Turns  // one at a time
	head []byte      // as this node wrote it
	of   counting    // what is counted, by the head
	off  atomic.Bool // nothing is stored any more: another node owns the index, or the storage may be replaced
	// blocks are those that were found when the index began, in order.
	blocks []*fingerprint.Stored
}

// findStored reads the stored index while Hold lets writes wait, and makes this node its owner. If a part of the index
// cannot be used, none of it is used, and its head is deleted. An error says that the storage does not answer.
func (p *Index) findStored(ctx context.Context) error {
	home, blocks := "", []*fingerprint.Stored(nil)
	defer func() { p.index.Release(home, blocks) }()
	ctx = physical.CacheRefreshContext(ctx, true)
	homes, err := p.of.Homes(ctx, p.mode)
	if err != nil || len(homes) == 0 {
		return err
	}
	var why error
	if len(homes) > 1 {
		why = fmt.Errorf("there are %d of them", len(homes))
	} else if blocks, why, err = p.readStored(ctx, homes[0]); err != nil {
		return err
	}
	if why == nil && blocks != nil {
		head := fingerprint.HeadOf(homes[0])
		p.newHead(head, p.of.counts(p.mode))
		if err := p.of.below.Inner.Put(ctx, &physical.Entry{Key: head, Value: p.stored.head}); err != nil {
			return failure.Storage("take over the stored index", err)
		}
		home, p.stored.blocks = homes[0], blocks
		return nil
	}
	if why != nil {
		p.of.below.Logger.Warn("the stored index of the replicated content cannot be used, so all of the content is read",
			"mode", p.mode, "error", why)
	}
	blocks = nil
	return p.of.invalidateHomes(ctx, homes)
}

// readStored reads the rows of a directory, none if it has no head. why says what is wrong with them.
func (p *Index) readStored(ctx context.Context, home string) (blocks []*fingerprint.Stored, why, err error) {
	names, err := p.of.below.Inner.List(ctx, home)
	if err != nil {
		return nil, nil, failure.Storage("list the stored index", err)
	}
	head := fingerprint.HeadOf(home)
	keys := []string{head}
	for _, name := range names {
		if key := home + name; key != head {
			keys = append(keys, key)
		}
	}
	values, err := p.of.below.ReadAll(ctx, keys)
	if err != nil {
		return nil, nil, failure.Storage("read the stored index", err)
	}
	if values[0] == nil {
		return nil, nil, nil
	}
	h := p.index.Hasher()
	of, why := h.DecodeHead(head, values[0])
	switch {
	case why != nil:
		return nil, why, nil
	case of != p.of.counts(p.mode):
		return nil, fmt.Errorf("it counts other keys: it is of another version, or of other mounts"), nil
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

// takeStored builds the index from the stored blocks, and reads the keys between them.
func (p *Index) takeStored(ctx context.Context) (done bool, err error) {
	blocks := p.stored.blocks
	pass := p.index.Begin()
	defer pass.End()
	dirs := walk.NewListing(p.of.below.Inner, p.of.below.AnyPrefix)
	read, after := 0, ""
	gap := func(upTo string) error {
		p.unseen.Store(true)
		w, err := walk.Between(ctx, dirs, after, upTo, new(int))
		if err != nil {
			return err
		}
		for pass.Current() {
			keys, err := w.Group(ctx, func(key string) bool { return p.of.below.Classes().Replicated(p.mode, key) }, upTo)
			if err != nil || len(keys) == 0 {
				return err
			}
			read += len(keys)
			p.indexing.progress(len(keys))
			if err := readPass(ctx, p.of, pass, keys); err != nil {
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
			if err := readPass(ctx, p.of, pass, created); err != nil {
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
	_, done, err = finishPass(ctx, p.of, pass)
	if done {
		_, keys := p.index.Root()
		p.of.below.Logger.Info("the index of the replicated content was stored, and is compared with the storage now", "mode",
			p.mode, "keys", keys, "read", read)
	}
	return done, err
}
