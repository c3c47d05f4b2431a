// SPDX-License-Identifier: MPL-2.0

package replicationtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// What a probe passes to the host: no field is zero.

func fixedTime() time.Time { return time.Date(2031, 2, 3, 4, 5, 6, 7, time.UTC) }

func probePosition() replication.Position {
	return replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "e"}, Term: 2, Sequence: 3}
}

func probeProof() replication.Proof { return replication.Proof("proof\x00") }

func probeListen() replication.ListenRequest {
	return replication.ListenRequest{CACert: []byte("ca"), Cert: []byte("cert"), Key: []byte("key")}
}

func probeDial() replication.DialRequest {
	return replication.DialRequest{Address: "https://there:8201", CACert: []byte("ca"), ServerName: "name",
		Cert: []byte("cert"), Key: []byte("key")}
}

func probeRange() *replication.Range {
	// Not UTF-8: a storage key may be any bytes.
	return &replication.Range{After: "a\xff", UpTo: "b\xfe", Last: true, Keys: 4, AsOf: 5, Payload: []byte("range"),
		Proof: probeProof(), Left: 6}
}

func probeFrame() *replication.Frame {
	return &replication.Frame{After: 1, To: probePosition(), ConsistentFrom: 2, Payload: []byte("frame"),
		Proof: probeProof()}
}

func (p *Probe) callHost(ctx context.Context, method string) (any, error) {
	h := p.host
	switch method {
	case "Node":
		return h.Node(ctx)
	case "GetState":
		v, err := h.GetState(ctx, "k")
		return []any{v, v == nil}, err
	case "PutState":
		return nil, h.PutState(ctx, "k", []byte("v"))
	case "PutStateTooLarge":
		return nil, h.PutState(ctx, "k", make([]byte, replication.StateValueMax+1))
	case "DeleteState":
		return nil, h.DeleteState(ctx, "k")
	case "ListState":
		return h.ListState(ctx, "p")
	case "Listen":
		return nil, h.Listen(ctx, probeListen())
	case "StopListening":
		return nil, h.StopListening(ctx)
	case "Dial":
		return p.dial(ctx)
	case "RoleAt":
		return h.RoleAt(ctx, "https://api")
	case "Position":
		return h.Position(ctx, "slot")
	case "OpenSlot":
		return h.OpenSlot(ctx, "slot", probeProof())
	case "AckSlot":
		return nil, h.AckSlot(ctx, "slot", probePosition(), probeProof())
	case "CloseSlot":
		return nil, h.CloseSlot(ctx, "slot")
	case "ReadJournal":
		return p.readJournal(ctx)
	case "ReadRange":
		return h.ReadRange(ctx, replication.ReadRangeRequest{After: "a\xff", SlotID: "slot", Proof: probeProof()})
	case "CopyRange":
		r, err := h.ReadRange(ctx, replication.ReadRangeRequest{After: "large"})
		if err != nil {
			return nil, err
		}
		return h.ApplyRange(ctx, r)
	case "AnswerDiff":
		return h.AnswerDiff(ctx, replication.AnswerDiffRequest{SlotID: "slot", Question: []byte("q\x00")})
	case "Diff":
		return h.Diff(ctx, []byte("a\x00"))
	case "BeginDiff":
		return h.Diff(ctx, nil)
	case "Verify":
		return nil, h.Verify(ctx, probePosition(), replication.Fingerprint{1, 2}, probeProof())
	case "SealHandover":
		return h.SealHandover(ctx, replication.SealHandoverRequest{SecondaryID: "s", Challenge: []byte("c")})
	case "Cursor":
		return h.Cursor(ctx)
	case "BeginCopy":
		return h.BeginCopy(ctx, replication.Opening{Position: probePosition(), Proof: probeProof()})
	case "ApplyRange":
		return h.ApplyRange(ctx, probeRange())
	case "EndCopy":
		return h.EndCopy(ctx)
	case "ApplyFrame":
		return h.ApplyFrame(ctx, probeFrame())
	}
	return nil, fmt.Errorf("the probe does not know the method %q", method)
}

// readJournal acknowledges each frame before it asks for the next, until an
// error, which it returns.
func (p *Probe) readJournal(ctx context.Context) (any, error) {
	r, err := p.host.ReadJournal(ctx, replication.ReadJournalRequest{SlotID: "slot", After: probePosition(),
		Proof: probeProof()})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		f, err := r.Next()
		if err != nil {
			return nil, err
		}
		if err := p.host.AckSlot(ctx, "slot", f.To, f.Proof); err != nil {
			return nil, err
		}
	}
}

// dial sends a question, half-closes and compares the answer with it.
func (p *Probe) dial(ctx context.Context) (any, error) {
	conn, err := p.host.Dial(ctx, probeDial())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	question := bytes.Repeat([]byte("0123456789abcdef"), 1<<15)
	wrote := make(chan error, 1)
	go func() {
		_, err := conn.Write(question)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			err = errors.Join(err, half.CloseWrite())
		}
		wrote <- err
	}()
	answer, err := io.ReadAll(conn)
	if err = errors.Join(err, <-wrote); err != nil {
		return nil, err
	}
	return bytes.Equal(question, answer), nil
}
