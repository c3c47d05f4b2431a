// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Conversions between the contract and the wire: toX makes the message, fromX
// the contract's value. A nil message is the zero value.

func toTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func fromTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func toDuration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// valid mends free text, which protobuf refuses when it is not UTF-8: a strange
// message must not turn an answer into a failure.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func toCursor(c *replication.Cursor) *replicationv1.CursorResponse {
	return &replicationv1.CursorResponse{
		Position: commonv1.OfPosition(c.Position), Copying: c.Copying, CopyFrom: commonv1.OfPosition(c.CopyFrom),
		CopiedUpTo: []byte(c.CopiedUpTo), CopiedKeys: c.CopiedKeys, ConsistentFrom: c.ConsistentFrom, Missing: c.Missing,
		Proof: c.Proof,
	}
}

func fromCursor(c *replicationv1.CursorResponse) *replication.Cursor {
	return &replication.Cursor{
		Position: c.GetPosition().Value(), Copying: c.GetCopying(), CopyFrom: c.GetCopyFrom().Value(),
		CopiedUpTo: string(c.GetCopiedUpTo()), CopiedKeys: c.GetCopiedKeys(), ConsistentFrom: c.GetConsistentFrom(),
		Missing: c.GetMissing(), Proof: c.GetProof(),
	}
}

func toRoleAt(a *replication.RoleAtAnswer) *replicationv1.RoleAtResponse {
	return &replicationv1.RoleAtResponse{Role: string(a.Role), ClusterId: a.ClusterID, SecondaryId: a.SecondaryID}
}

func fromRoleAt(w *replicationv1.RoleAtResponse) *replication.RoleAtAnswer {
	return &replication.RoleAtAnswer{Role: replication.Role(w.GetRole()), ClusterID: w.GetClusterId(),
		SecondaryID: w.GetSecondaryId()}
}

func toJournalPosition(p *replication.JournalPosition) *replicationv1.PositionResponse {
	return &replicationv1.PositionResponse{Position: commonv1.OfPosition(p.Position), Fingerprint: p.Fingerprint,
		Keys: p.Keys, Proof: p.Proof}
}

func fromJournalPosition(w *replicationv1.PositionResponse) *replication.JournalPosition {
	return &replication.JournalPosition{Position: w.GetPosition().Value(), Fingerprint: w.GetFingerprint(),
		Keys: w.GetKeys(), Proof: w.GetProof()}
}

func toOpening(o *replication.Opening) *replicationv1.OpenSlotResponse {
	return &replicationv1.OpenSlotResponse{Position: commonv1.OfPosition(o.Position), Proof: o.Proof}
}

func fromOpening(w *replicationv1.OpenSlotResponse) *replication.Opening {
	return &replication.Opening{Position: w.GetPosition().Value(), Proof: w.GetProof()}
}

func toDiffStep(s *replication.DiffStep) *replicationv1.DiffResponse {
	return &replicationv1.DiffResponse{
		Copy: s.Copy, Done: s.Done, Question: s.Question, Differing: s.Differing, Synced: s.Synced,
		Cursor: toCursor(s.Cursor),
	}
}

func fromDiffStep(w *replicationv1.DiffResponse) *replication.DiffStep {
	return &replication.DiffStep{
		Copy: w.GetCopy(), Done: w.GetDone(), Question: w.GetQuestion(), Differing: w.GetDiffering(), Synced: w.GetSynced(),
		Cursor: fromCursor(w.GetCursor()),
	}
}

func toHandover(h *replication.Handover) *replicationv1.Handover {
	if h == nil {
		return nil
	}
	return &replicationv1.Handover{Sealed: h.Sealed}
}

func fromHandover(h *replicationv1.Handover) *replication.Handover {
	if h == nil {
		return nil
	}
	return &replication.Handover{Sealed: h.GetSealed()}
}

func toNode(n *replication.Node) *replicationv1.NodeResponse {
	w := &replicationv1.NodeResponse{
		ApiAddr: n.APIAddr, ClusterAddr: n.ClusterAddr, ClusterAddrs: n.ClusterAddrs,
		ClusterName: valid(n.ClusterName), VaultVersion: n.VaultVersion, Now: toTime(n.Now),
	}
	if n.FailoverAddrs != nil {
		w.Failover = &commonv1.Addresses{ClusterAddrs: n.FailoverAddrs}
	}
	return w
}

func fromNode(w *replicationv1.NodeResponse) *replication.Node {
	n := &replication.Node{
		APIAddr: w.GetApiAddr(), ClusterAddr: w.GetClusterAddr(), ClusterAddrs: w.GetClusterAddrs(),
		ClusterName: w.GetClusterName(), VaultVersion: w.GetVaultVersion(), Now: fromTime(w.GetNow()),
	}
	if w.Failover != nil {
		// An empty list is not the same as an unknown one.
		n.FailoverAddrs = append([]string{}, w.GetFailover().GetClusterAddrs()...)
	}
	return n
}
