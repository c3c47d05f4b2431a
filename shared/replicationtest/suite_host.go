// SPDX-License-Identifier: MPL-2.0

package replicationtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

func testHostCalls(t *testing.T, connect Connect) {
	pos := probePosition()
	node := &replication.Node{
		APIAddr: "a", ClusterAddr: "c", ClusterAddrs: []string{"c", "d"}, Failover: []string{"f"}, ClusterName: "n",
		VaultVersion: "1", Now: fixedTime(),
	}
	journal := &replication.JournalPosition{Position: pos, Fingerprint: replication.Fingerprint{1, 2}, Keys: 3,
		Proof: probeProof()}
	opening := &replication.Opening{Position: pos, Proof: probeProof()}
	cursor := &replication.Cursor{Position: pos, Copying: true, CopyFrom: pos, CopiedUpTo: "k\xff", CopiedKeys: 4,
		ConsistentFrom: 5, Missing: 6, Proof: probeProof()}
	step := &replication.DiffStep{Done: true, Question: []byte("q\x00"), Differing: 5, Synced: 4, Cursor: cursor}
	roleAt := &replication.RoleAtAnswer{Role: replication.Primary, ClusterID: "set", SecondaryID: "s"}
	handover := &replication.Handover{Sealed: []byte("sealed")}

	// One entry a method: the result, and whether the arguments arrived.
	args := map[string]bool{}
	seen := func(method string, ok bool) { args[method] = ok }
	host := &Host{
		NodeFunc:     func(context.Context) (*replication.Node, error) { seen("Node", true); return node, nil },
		GetStateFunc: func(_ context.Context, k string) ([]byte, error) { seen("GetState", k == "k"); return []byte{}, nil },
		PutStateFunc: func(_ context.Context, k string, v []byte) error {
			seen("PutState", k == "k" && string(v) == "v")
			return nil
		},
		DeleteStateFunc: func(_ context.Context, k string) error { seen("DeleteState", k == "k"); return nil },
		ListStateFunc: func(_ context.Context, p string) ([]string, error) {
			seen("ListState", p == "p")
			return []string{"p1", "p2"}, nil
		},
		ListenFunc: func(_ context.Context, req replication.ListenRequest) error {
			seen("Listen", equal(req, probeListen()))
			return nil
		},
		StopListeningFunc: func(context.Context) error { seen("StopListening", true); return nil },
		RoleAtFunc: func(_ context.Context, addr string) (*replication.RoleAtAnswer, error) {
			seen("RoleAt", addr == "https://api")
			return roleAt, nil
		},
		PositionFunc: func(_ context.Context, id string) (*replication.JournalPosition, error) {
			seen("Position", id == "slot")
			return journal, nil
		},
		OpenSlotFunc: func(_ context.Context, id string, p replication.Proof) (*replication.Opening, error) {
			seen("OpenSlot", id == "slot" && equal(p, probeProof()))
			return opening, nil
		},
		AckSlotFunc: func(_ context.Context, id string, at replication.Position, p replication.Proof) error {
			seen("AckSlot", id == "slot" && at == pos && equal(p, probeProof()))
			return nil
		},
		CloseSlotFunc: func(_ context.Context, id string) error { seen("CloseSlot", id == "slot"); return nil },
		ReadRangeFunc: func(_ context.Context, req replication.ReadRangeRequest) (*replication.Range, error) {
			seen("ReadRange", req.After == "a\xff" && req.SlotID == "slot" && equal(req.Proof, probeProof()))
			return probeRange(), nil
		},
		AnswerDiffFunc: func(_ context.Context, req replication.AnswerDiffRequest) ([]byte, error) {
			seen("AnswerDiff", req.SlotID == "slot" && string(req.Question) == "q\x00")
			return []byte("answer\x00"), nil
		},
		DiffFunc: func(_ context.Context, answer []byte) (*replication.DiffStep, error) {
			if answer == nil {
				seen("BeginDiff", true)
				return &replication.DiffStep{Copy: true, Cursor: cursor}, nil
			}
			seen("Diff", string(answer) == "a\x00")
			return step, nil
		},
		VerifyFunc: func(_ context.Context, at replication.Position, f replication.Fingerprint, p replication.Proof) error {
			seen("Verify", at == pos && f.String() == "0102" && equal(p, probeProof()))
			return nil
		},
		SealHandoverFunc: func(_ context.Context, req replication.SealHandoverRequest) (*replication.Handover, error) {
			seen("SealHandover", req.SecondaryID == "s" && string(req.Challenge) == "c")
			return handover, nil
		},
		CursorFunc: func(context.Context) (*replication.Cursor, error) { seen("Cursor", true); return cursor, nil },
		BeginCopyFunc: func(_ context.Context, from replication.Opening) (*replication.Cursor, error) {
			seen("BeginCopy", equal(from, opening))
			return cursor, nil
		},
		ApplyRangeFunc: func(_ context.Context, r *replication.Range) (*replication.Cursor, error) {
			seen("ApplyRange", equal(r, probeRange()) && r.UpTo == probeRange().UpTo)
			return cursor, nil
		},
		EndCopyFunc: func(context.Context) (*replication.Cursor, error) { seen("EndCopy", true); return cursor, nil },
		ApplyFrameFunc: func(_ context.Context, f *replication.Frame) (*replication.Cursor, error) {
			seen("ApplyFrame", equal(f, probeFrame()))
			return cursor, nil
		},
	}
	b := connect(t, host)
	for method, want := range map[string]any{
		"Node": node, "GetState": []any{[]byte{}, false}, "PutState": nil, "DeleteState": nil,
		"ListState": []string{"p1", "p2"},
		"Listen":    nil, "StopListening": nil, "RoleAt": roleAt, "Position": journal, "OpenSlot": opening, "AckSlot": nil,
		"CloseSlot": nil,
		"ReadRange": probeRange(), "SealHandover": handover, "Cursor": cursor, "BeginCopy": cursor,
		"Verify": nil, "AnswerDiff": []byte("answer\x00"), "Diff": step, "BeginDiff": &replication.DiffStep{Copy: true,
			Cursor: cursor},
		"ApplyRange": cursor, "EndCopy": cursor, "ApplyFrame": cursor,
	} {
		tr, err := command(t, b, "host "+method)
		require.NoError(t, err, method)
		text, err := json.Marshal(want)
		require.NoError(t, err)
		require.Equal(t, string(text), string(tr.PutState["result"]), method)
		require.True(t, args[method], "the arguments of %s arrived changed", method)
	}
}

func equal(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func testHostErrorKinds(t *testing.T, connect Connect) {
	var kind replication.Kind
	fail := func() error { return replication.Errorf(kind, "the host says no") }
	b := connect(t, &Host{
		EndCopyFunc: func(context.Context) (*replication.Cursor, error) { return nil, fail() },
		ReadJournalFunc: func(context.Context, replication.ReadJournalRequest) (replication.FrameReader, error) {
			return nil, fail()
		},
	})
	for _, kind = range kinds {
		for _, method := range []string{"EndCopy", "ReadJournal"} {
			_, err := command(t, b, "host "+method)
			requireError(t, err, kind, "the host says no")
		}
	}
}

func testAbsentRecord(t *testing.T, connect Connect) {
	b := connect(t, &Host{GetStateFunc: func(context.Context, string) ([]byte, error) { return nil, nil }})
	tr, err := command(t, b, "host GetState")
	require.NoError(t, err)
	require.JSONEq(t, `[null,true]`, string(tr.PutState["result"]))
}

func testLimits(t *testing.T, connect Connect) {
	b := connect(t, &Host{PutStateFunc: func(context.Context, string, []byte) error {
		return replication.Errorf(replication.InvalidInput, "checked by the host itself")
	}})
	_, err := command(t, b, "host PutStateTooLarge")
	require.Equal(t, replication.InvalidInput, replication.KindOf(err), "%v", err)
}

func testCancelReachesHost(t *testing.T, connect Connect) {
	entered, left := make(chan struct{}), make(chan struct{})
	b := connect(t, &Host{CursorFunc: func(ctx context.Context) (*replication.Cursor, error) {
		close(entered)
		<-ctx.Done()
		close(left)
		return nil, ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	_, err := b.EnablePrimary(ctx, replication.EnablePrimaryRequest{PrimaryClusterAddr: "host Cursor"})
	require.ErrorIs(t, err, context.Canceled)
	<-left
}

func testLargePayload(t *testing.T, connect Connect) {
	large := &replication.Range{UpTo: "z", Payload: make([]byte, 40<<20)}
	for i := range large.Payload {
		large.Payload[i] = byte(i * 7 >> 3)
	}
	want, got := sha256.Sum256(large.Payload), make(chan [32]byte, 1)
	b := connect(t, &Host{
		ReadRangeFunc: func(context.Context, replication.ReadRangeRequest) (*replication.Range, error) { return large, nil },
		ApplyRangeFunc: func(_ context.Context, r *replication.Range) (*replication.Cursor, error) {
			got <- sha256.Sum256(r.Payload)
			return &replication.Cursor{}, nil
		},
	})
	_, err := command(t, b, "host CopyRange")
	require.NoError(t, err)
	require.Equal(t, want, <-got)
}
