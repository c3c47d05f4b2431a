// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func toTransition(t *replication.Transition) *replicationv1.TransitionResponse {
	warnings := make([]string, len(t.Warnings))
	for i, w := range t.Warnings {
		warnings[i] = valid(w)
	}
	return &replicationv1.TransitionResponse{
		Role: string(t.Role), ClusterId: t.ClusterID, ClearState: t.ClearState,
		PutState: t.PutState, DeleteState: t.DeleteState, Handover: toHandover(t.Handover), Warnings: warnings,
		Contested: t.Contested,
	}
}

func fromTransition(t *replicationv1.TransitionResponse) *replication.Transition {
	return &replication.Transition{
		Role: replication.Role(t.GetRole()), ClusterID: t.GetClusterId(), ClearState: t.GetClearState(),
		PutState: t.GetPutState(), DeleteState: t.GetDeleteState(), Handover: fromHandover(t.GetHandover()),
		Warnings:  t.GetWarnings(),
		Contested: t.GetContested(),
	}
}

func toSecondaryToken(t *replication.SecondaryTokenResponse) *replicationv1.SecondaryTokenResponse {
	return &replicationv1.SecondaryTokenResponse{Bundle: t.Bundle, ClusterId: t.ClusterID, Certificate: t.Certificate}
}

func fromSecondaryToken(w *replicationv1.SecondaryTokenResponse) *replication.SecondaryTokenResponse {
	return &replication.SecondaryTokenResponse{Bundle: w.GetBundle(), ClusterID: w.GetClusterId(),
		Certificate: w.GetCertificate()}
}

func toStatusResponse(s *replication.Status) *replicationv1.StatusResponse {
	return &replicationv1.StatusResponse{
		State:                    string(s.State),
		ConnectionState:          string(s.ConnectionState),
		PrimaryClusterAddr:       s.PrimaryClusterAddr,
		KnownPrimaryClusterAddrs: s.KnownPrimaryClusterAddrs,
		KnownSecondaries:         s.KnownSecondaries,
		Secondaries:              toPeers(s.Secondaries),
		Primaries:                toPeers(s.Primaries),
		SecondaryId:              s.SecondaryID,
		LastStart:                toTime(s.LastStart),
		SyncProgress:             s.SyncProgress,
		SyncTotal:                s.SyncTotal,
		LastError:                valid(s.LastError),
		FailoverAddrs:            s.FailoverAddrs,
	}
}

func fromStatusResponse(s *replicationv1.StatusResponse) *replication.Status {
	return &replication.Status{
		State:                    replication.State(s.GetState()),
		ConnectionState:          replication.ConnectionState(s.GetConnectionState()),
		PrimaryClusterAddr:       s.GetPrimaryClusterAddr(),
		KnownPrimaryClusterAddrs: s.GetKnownPrimaryClusterAddrs(),
		KnownSecondaries:         s.GetKnownSecondaries(),
		Secondaries:              fromPeers(s.GetSecondaries()),
		Primaries:                fromPeers(s.GetPrimaries()),
		SecondaryID:              s.GetSecondaryId(),
		LastStart:                fromTime(s.GetLastStart()),
		SyncProgress:             s.GetSyncProgress(),
		SyncTotal:                s.GetSyncTotal(),
		LastError:                s.GetLastError(),
		FailoverAddrs:            s.GetFailoverAddrs(),
	}
}

func toPeers(peers []replication.Peer) []*replicationv1.Peer {
	var out []*replicationv1.Peer
	for _, p := range peers {
		out = append(out, &replicationv1.Peer{
			NodeId: p.NodeID, ApiAddress: p.APIAddress, ClusterAddress: p.ClusterAddress, Connected: p.Connected,
			LastHeartbeat: toTime(p.LastHeartbeat), LastHeartbeatDuration: toDuration(p.LastHeartbeatDuration),
			ClockSkew: toDuration(p.ClockSkew), CanaryAge: toDuration(p.CanaryAge), Acknowledged: p.Acknowledged,
		})
	}
	return out
}

func fromPeers(peers []*replicationv1.Peer) []replication.Peer {
	var out []replication.Peer
	for _, p := range peers {
		out = append(out, replication.Peer{
			NodeID: p.GetNodeId(), APIAddress: p.GetApiAddress(), ClusterAddress: p.GetClusterAddress(),
			Connected:     p.GetConnected(),
			LastHeartbeat: fromTime(p.GetLastHeartbeat()), LastHeartbeatDuration: p.GetLastHeartbeatDuration().AsDuration(),
			ClockSkew: p.GetClockSkew().AsDuration(), CanaryAge: p.GetCanaryAge().AsDuration(),
			Acknowledged: p.GetAcknowledged(),
		})
	}
	return out
}
