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
	"core/replication/role", "core/replication/had-role", "core/seal-config", "core/hsm/barrier-unseal-keys",
	"replication/step", "replication/redo",
	"sys/uiconfig_plaintext", "core/raft/tls", "core/cluster/local/info",
}

// spellings are texts that storage may take for a key.
func spellings(key string) []string {
	dir, name, _ := strings.Cut(key, "/")
	return []string{
		key, "/" + key, "./" + key, key + "/", key + "/.", dir + "//" + name, dir + "/./" + name, "x/../" + key,
		dir + "/x/../" + name,
		strings.ToUpper(dir) + "/" + name, key + "\x00", key + ".", dir + `\` + name, dir + "/_" + name + "/x",
	}
}

// states are names of records that would leave the place of a plugin's records.
var states = []string{"../role", "..//role", "a/../../role", "./../role", "/role", "a//b", "role/", "a\x00b",
	"../../had-role", ""}

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

// attackBegunCopy attacks a copy that has begun, with nothing but the proof of its
// beginning.
func (h *hostile) attackBegunCopy(ctx context.Context, from replication.Opening) {
	h.endCopy(ctx, "nothing was sent")
	for name, proof := range map[string]replication.Proof{"no proof": nil, "the proof of the beginning": from.Proof,
		"half of it": from.Proof[:len(from.Proof)/2]} {
		_, err := h.Host.ApplyRange(ctx, &replication.Range{Last: true, AsOf: from.Position.Sequence, Proof: proof})
		h.try("an empty range that is all of the copy, with "+name, err)
		h.endCopy(ctx, "an empty range with "+name)
	}
	f := &replication.Frame{After: 0, To: from.Position, ConsistentFrom: from.Position.Sequence, Proof: from.Proof}
	_, err := h.Host.ApplyFrame(ctx, f)
	h.try("a frame in place of a copy", err)
	h.endCopy(ctx, "a frame in its place")
}

// attackAnswer attacks with the first answer of a copy that is a comparison. Each attempt
// is made while a question is open.
func (h *hostile) attackAnswer(ctx context.Context, answer []byte) {
	const proof = 16
	tail := answer[max(0, len(answer)-proof):]
	nothing := (&journal.Answer{}).Encode(nil)
	for name, forged := range map[string][]byte{
		"that nothing differs":                 nothing,
		"that nothing differs, with a proof":   append(bytes.Clone(nothing), tail...),
		"that is cut short":                    answer[:len(answer)/2],
		"that is cut short, with a proof":      append(bytes.Clone(answer[:len(answer)/2]), tail...),
		"that is a proof alone":                tail,
		"that has something more at its begin": append([]byte{0}, answer...),
	} {
		h.endCopy(ctx, "a question")
		_, err := h.Host.Diff(ctx, forged)
		h.try("an answer "+name, err)
		h.endCopy(ctx, "an answer "+name)
		if _, err = h.Host.Diff(ctx, nil); err != nil {
			h.logger.Warn("there is no other question", "error", err)
		}
	}
}

// attackRange attacks with the first range.
func (h *hostile) attackRange(ctx context.Context, r *replication.Range) {
	for name, change := range map[string]func(r *replication.Range){
		"without its keys":            func(r *replication.Range) { r.Payload, r.Keys = nil, 0 },
		"that is torn":                func(r *replication.Range) { r.Payload = r.Payload[:len(r.Payload)/2] },
		"that says it is older":       func(r *replication.Range) { r.AsOf-- },
		"that begins later":           func(r *replication.Range) { r.After = "sys/" },
		"that ends earlier":           func(r *replication.Range) { r.UpTo, r.Last = "core/", false },
		"that is not the last":        func(r *replication.Range) { r.Last = !r.Last },
		"that is the last, and empty": func(r *replication.Range) { r.Payload, r.Keys, r.UpTo, r.Last = nil, 0, "", true },
		"without a proof":             func(r *replication.Range) { r.Proof = nil },
	} {
		changed := *r
		change(&changed)
		_, err := h.Host.ApplyRange(ctx, &changed)
		h.try("a range "+name, err)
		h.endCopy(ctx, "a range "+name)
	}
}

func (h *hostile) endCopy(ctx context.Context, after string) {
	_, err := h.Host.EndCopy(ctx)
	h.try("the end of the copy, after "+after, err)
}

// attackSecondary attacks with the frame that was applied last and the next one.
func (h *hostile) attackSecondary(ctx context.Context, former, next *replication.Frame) {
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
			frame(fmt.Sprintf("a frame that writes %q", s),
				forge(journal.Op{Kind: journal.Put, Key: s, Value: []byte("forged")}))
			frame(fmt.Sprintf("a frame that deletes %q", s), forge(journal.Op{Kind: journal.Delete, Key: s}))
		}
	}
	h.attackProofs(ctx, next, forge)
	frame("a frame that deletes a policy", forge(journal.Op{Kind: journal.Delete, Key: "sys/policy/default"}))
	frame("a frame without its rows", forge())
	frame("a frame that says it goes further", func(f *replication.Frame) { f.To.Sequence += 1000 })
	frame("a frame that says it is consistent", func(f *replication.Frame) { f.ConsistentFrom = f.To.Sequence })
	frame("a frame of another term", func(f *replication.Frame) { f.To.Term++ })
	frame("a frame without proof", func(f *replication.Frame) { f.Proof = replication.Proof{} })
	frame("a frame with the rows and proof of the one before", func(f *replication.Frame) {
		f.Payload, f.Proof, f.After = former.Payload, former.Proof, former.After
	})
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

// attackProofs claims what the primary's host has not said: content, its order, the
// beginning of a copy, fingerprints.
func (h *hostile) attackProofs(ctx context.Context, next *replication.Frame,
	forge func(...journal.Op) func(*replication.Frame)) {
	for name, change := range map[string]func(f *replication.Frame){
		"a frame that deletes the audit devices": forge(journal.Op{Kind: journal.Delete, Key: "core/audit"}),
		"a frame that writes a policy": forge(journal.Op{Kind: journal.Put, Key: "sys/policy/forged",
			Value: []byte("old")}),
		"a frame that says it is consistent": func(f *replication.Frame) { f.ConsistentFrom++ },
		"a frame of another term":            func(f *replication.Frame) { f.To.Term++ },
		"a frame that leaves rows out":       func(f *replication.Frame) { f.To.Sequence++ },
		"a frame without a proof":            func(f *replication.Frame) { f.Proof = nil },
	} {
		f := *next
		change(&f)
		_, err := h.Host.ApplyFrame(ctx, &f)
		h.try(name, err)
	}
	_, err := h.Host.BeginCopy(ctx, replication.Opening{Position: next.To})
	h.try("a copy without a proof", err)
	_, err = h.Host.BeginCopy(ctx, replication.Opening{Position: next.To, Proof: next.Proof})
	h.try("a copy with the proof of a frame", err)
	h.try("a fingerprint", h.Host.Verify(ctx, next.To, make(replication.Fingerprint, 32), next.Proof))
}

func (h *hostile) attackPrimary(ctx context.Context, id string, at replication.Position, secondary replication.Proof) {
	h.attackBoth(ctx)
	beyond := at
	beyond.Sequence++
	h.try("an acknowledgement of what the secondary has not", h.Host.AckSlot(ctx, id, beyond, secondary))
	h.try("an acknowledgement without a proof", h.Host.AckSlot(ctx, id, beyond, nil))
	h.try("that nobody is there", h.Host.AckSlot(ctx, "nobody", replication.Position{}, nil))
	_, err := h.Host.OpenSlot(ctx, id, nil)
	h.try("a slot without a proof", err)
	_, err = h.Host.OpenSlot(ctx, "nobody", secondary)
	h.try("a slot for nobody", err)
	_, err = h.Host.Position(ctx, "nobody")
	h.try("a fingerprint for nobody", err)
	_, err = h.Host.ReadRange(ctx, replication.ReadRangeRequest{SlotID: id})
	h.try("a range without a proof", err)
	_, err = h.Host.ReadJournal(ctx, replication.ReadJournalRequest{SlotID: id, After: beyond, Proof: secondary})
	h.try("the rows after a position that is not the secondary's", err)
	h.flood(func() error {
		_, err := h.Host.AnswerDiff(ctx, replication.AnswerDiffRequest{SlotID: id, Question: inflatingQuestion})
		return err
	}, 200, "a flood of questions")
	for _, key := range own {
		for _, s := range spellings(key) {
			q := journal.Question{From: at.Sequence,
				Asks: []journal.Ask{{After: s[:len(s)-1], UpTo: s + "0", Level: journal.Values}}}
			answer, err := h.Host.AnswerDiff(ctx, replication.AnswerDiffRequest{SlotID: id, Question: q.Encode()})
			if err == nil && !bytes.Contains(answer, []byte(key[strings.LastIndexByte(key, '/')+1:])) {
				err = fmt.Errorf("the answer has nothing of it: %d bytes", len(answer))
			}
			h.try(fmt.Sprintf("a question about %q", s), err)
		}
	}
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
		q.Asks = append(q.Asks, journal.Ask{After: fmt.Sprintf("%s%08d", long, 2*i),
			UpTo: fmt.Sprintf("%s%08d", long, 2*i+1)})
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
