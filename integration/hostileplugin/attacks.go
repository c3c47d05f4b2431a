// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// own are keys that no peer may write or delete.
var own = []string{
	"core/replication/role", "core/replication/had-role", "core/seal-config", "core/hsm/barrier-unseal-keys", "replication/step", "replication/redo",
	"sys/uiconfig_plaintext", "core/raft/tls", "core/cluster/local/info",
}

// spellings are texts that storage may take for a key.
func spellings(key string) []string {
	dir, name, _ := strings.Cut(key, "/")
	return []string{
		key, "/" + key, "./" + key, key + "/", key + "/.", dir + "//" + name, dir + "/./" + name, "x/../" + key, dir + "/x/../" + name,
		strings.ToUpper(dir) + "/" + name, key + "\x00", key + ".", dir + `\` + name, dir + "/_" + name + "/x",
	}
}

// states are names of records that would lead out of where a plugin's are.
var states = []string{"../role", "..//role", "a/../../role", "./../role", "/role", "a//b", "role/", "a\x00b", "../../had-role", ""}

func (h *hostile) attackBoth(ctx context.Context) {
	for _, name := range states {
		h.try(fmt.Sprintf("write of the record %q", name), h.Host.PutState(ctx, name, []byte("forged")))
		h.try(fmt.Sprintf("deletion of the record %q", name), h.Host.DeleteState(ctx, name))
	}
	_, err := h.Host.Receive(ctx, replication.ReceiveRequest{SecondaryID: "nobody", Payload: bytes.Repeat([]byte{1}, 100)})
	h.try("a forged request of a client", err)
	_, err = h.Host.SealHandover(ctx, replication.SealHandoverRequest{SecondaryID: "nobody", Challenge: make([]byte, 32)})
	h.try("the keys for nobody", err)
}

// attackSecondary has the frame that comes next.
func (h *hostile) attackSecondary(ctx context.Context, next *replication.Frame) {
	h.attackBoth(ctx)
	frame := func(name string, change func(f *replication.Frame)) {
		f := *next
		f.Payload = bytes.Clone(next.Payload)
		change(&f)
		_, err := h.Host.ApplyFrame(ctx, &f)
		h.try(name, err)
	}
	forge := func(ops ...journal.Op) func(f *replication.Frame) {
		return func(f *replication.Frame) {
			e := journal.NewFrameEncoder(f.After)
			e.Add(f.To.Sequence, ops)
			f.Payload = e.Payload()
		}
	}
	for _, key := range own {
		for _, s := range spellings(key) {
			frame(fmt.Sprintf("a frame that writes %q", s), forge(journal.Op{Kind: journal.Put, Key: s, Value: []byte("forged")}))
			frame(fmt.Sprintf("a frame that deletes %q", s), forge(journal.Op{Kind: journal.Delete, Key: s}))
		}
	}
	frame("a frame that is torn", func(f *replication.Frame) { f.Payload = f.Payload[:len(f.Payload)-1] })
	frame("a frame with rows without end", func(f *replication.Frame) {
		const n = 8 << 20
		b := binary.AppendUvarint([]byte{1}, n)
		for range n {
			b = append(b, 1, 0)
		}
		f.Payload = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		f.To.Sequence = f.After + n
	})
	frame("a frame of another epoch", func(f *replication.Frame) { f.To.Epoch.ID = "forged" })
	frame("a frame after rows that never came", func(f *replication.Frame) {
		f.After += 1 << 20
		f.To.Sequence += 1 << 21
	})
	large := make([]byte, 32<<20)
	h.flood(func() error {
		_, err := h.Host.ApplyRange(ctx, &replication.Range{Last: true, Payload: large})
		return err
	}, 64, "a flood of ranges")
	h.flood(func() error {
		_, err := h.Host.Diff(ctx, inflatingAnswer)
		return err
	}, 200, "a flood of answers")
}

func (h *hostile) attackPrimary(ctx context.Context, id string, at replication.Position) {
	h.attackBoth(ctx)
	h.flood(func() error {
		_, err := h.Host.AnswerDiff(ctx, replication.AnswerDiffRequest{SlotID: id, Question: inflatingQuestion})
		return err
	}, 200, "a flood of questions")
	for _, key := range own {
		for _, s := range spellings(key) {
			q := journal.Question{From: at.Sequence, Asks: []journal.Ask{{After: s[:len(s)-1], UpTo: s + "0", Level: journal.Values}}}
			answer, err := h.Host.AnswerDiff(ctx, replication.AnswerDiffRequest{SlotID: id, Question: q.Encode()})
			if err == nil && !bytes.Contains(answer, []byte(key[strings.LastIndexByte(key, '/')+1:])) {
				err = fmt.Errorf("the answer has nothing of it: %d bytes", len(answer))
			}
			h.try(fmt.Sprintf("a question about %q", s), err)
		}
	}
	_, err := h.Host.OpenSlot(ctx, "nobody")
	h.try("a slot for nobody", err)
	_, err = h.Host.SealHandover(ctx, replication.SealHandoverRequest{SecondaryID: id, Challenge: nil})
	h.try("the keys without a challenge", err)
}

// flood makes calls at once. All have to fail; one error stands for them.
func (h *hostile) flood(call func() error, calls int, name string) {
	errs := make([]error, calls)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() { errs[i] = call() })
	}
	wg.Wait()
	for _, err := range errs {
		if err == nil {
			h.try(name, nil)
			return
		}
	}
	h.try(name, errs[0])
}

var long = strings.Repeat("k", 60<<10)

// inflatingQuestion has keys that share nearly all with the one before: a hundred bytes
// stand for sixty thousand.
var inflatingQuestion = func() []byte {
	q := journal.Question{}
	for i := range journal.AsksMax {
		q.Asks = append(q.Asks, journal.Ask{After: fmt.Sprintf("%s%08d", long, 2*i), UpTo: fmt.Sprintf("%s%08d", long, 2*i+1)})
	}
	return q.Encode()
}()

var inflatingAnswer = func() []byte {
	a := journal.Answer{Ranges: []journal.AnswerRange{{}}}
	for i := range 8192 {
		a.Ranges[0].Parts = append(a.Ranges[0].Parts, journal.Part{UpTo: fmt.Sprintf("%s%08d", long, i)})
	}
	a.Ranges[0].Parts[8191].UpTo = ""
	return a.Encode([]journal.Ask{{After: "a", Level: 1}})
}()
