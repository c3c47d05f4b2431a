// SPDX-License-Identifier: MPL-2.0

package index

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/txn"
)

// store stores the blocks that were not touched since a moment.
func (p *Index) store(ctx context.Context, before time.Time) error {
	s := &p.stored
	end, err := s.turn.Take(ctx)
	if err != nil {
		return err
	}
	defer end()
	if s.off.Load() || !p.index.Known() || p.index.Overgrown() || p.of.copying(p.mode) {
		return nil
	}
	home := p.index.Home()
	if home == "" {
		if home, err = p.newHome(ctx); err != nil || home == "" {
			return err
		}
	}
	if err := p.renewHead(ctx, home); err != nil {
		return failure.Storage("renew the head of the stored index", err)
	}
	first := true
	for ctx.Err() == nil {
		batch := p.index.Store(before, storeBlocks)
		if batch == nil {
			if !first {
				stored, all := p.index.StoredBlocks()
				p.of.below.Logger.Debug("blocks of the index of the replicated content were stored", "mode", p.mode, "stored",
					stored, "of", all)
			}
			return nil
		}
		if first {
			err = p.owned(ctx, home)
			first = false
		}
		if err == nil && !s.off.Load() {
			err = p.of.storeRows(ctx, batch.Blocks, p.index.Hasher())
		}
		batch.End(err == nil && !s.off.Load())
		if err != nil {
			return failure.Storage("store the index of the replicated content", err)
		}
		if s.off.Load() {
			return nil
		}
	}
	return ctx.Err()
}

// rest ends the storing and waits for its end, at most until the context ends.
func (p *Index) rest(ctx context.Context) {
	p.stored.off.Store(true)
	if end, err := p.stored.turn.Take(ctx); err == nil {
		end()
	}
}

// owned stops the storing if another node has written the head. A deposed leader does not know the writes of the next
// one, and must not store an index without them.
func (p *Index) owned(ctx context.Context, home string) error {
	b, err := p.of.below.ReadFresh(ctx, fingerprint.HeadOf(home))
	if err != nil {
		return err
	}
	if !bytes.Equal(b, p.stored.head) {
		p.stored.off.Store(true)
		p.of.below.Logger.Warn("the stored index of the replicated content is another node's now, so this one does not "+
			"store it any more", "mode", p.mode)
	}
	return nil
}

// newHead makes the head that marks the stored index as this node's.
func (p *Index) newHead(row string, of counting) {
	p.stored.of, p.stored.head = of, p.index.Hasher().EncodeHead(row, of, random())
}

// renewHead writes the head anew after classes of keys have changed, so that it identifies what is counted now. No key
// changed its class: otherwise the index would have been invalidated.
func (p *Index) renewHead(ctx context.Context, home string) error {
	lost, of := p.index.Lost(), p.of.counts(p.mode)
	if of == p.stored.of || p.index.Home() != home {
		return nil
	}
	if err := p.owned(ctx, home); err != nil || p.stored.off.Load() {
		return err
	}
	head, formerOf, formerHead := fingerprint.HeadOf(home), p.stored.of, p.stored.head
	p.newHead(head, of)
	err := p.of.below.Inner.Put(ctx, &physical.Entry{Key: head, Value: p.stored.head})
	if err != nil {
		p.stored.of, p.stored.head = formerOf, formerHead // the next call tries again
	}
	if p.index.Lost() != lost {
		// The former head may have been deleted before this one was written.
		err = errors.Join(err, p.of.below.Inner.Delete(ctx, head))
	}
	return err
}

// newHome makes a directory for the rows of an index, and deletes former ones. If the index was lost meanwhile, it
// returns an empty string and no error.
func (p *Index) newHome(ctx context.Context) (string, error) {
	lost := p.index.Lost()
	if err := p.InvalidateStored(ctx); err != nil {
		return "", err
	}
	if err := p.of.Forget(ctx, p.mode); err != nil {
		return "", err
	}
	id := random()
	home := keyclass.IndexPrefix(p.mode) + hex.EncodeToString(id[:8]) + "/"
	head := fingerprint.HeadOf(home)
	p.newHead(head, p.of.counts(p.mode))
	if err := p.of.below.Inner.Put(ctx, &physical.Entry{Key: head, Value: p.stored.head}); err != nil {
		return "", failure.Storage("begin to store the index", err)
	}
	if !p.index.SetHome(home, lost) {
		return "", nil
	}
	return home, nil
}

// storeRows stores blocks. It deletes the rows that they replace first. So wherever a crash cuts it, each row that is
// there is right.
func (x *Indexes) storeRows(ctx context.Context, blocks []fingerprint.StoringBlock, h *fingerprint.Hasher) error {
	var writes []*physical.TxnEntry
	for i := range blocks {
		for _, row := range blocks[i].Drop {
			writes = append(writes, txn.Delete(row))
		}
	}
	for i := range blocks {
		e := &physical.Entry{Key: blocks[i].Row, Value: h.Encode(&blocks[i].Stored)}
		writes = append(writes, txn.Put(e))
	}
	return x.below.StoreSplit(ctx, writes)
}

func random() (b [16]byte) {
	_, _ = rand.Read(b[:])
	return b
}
