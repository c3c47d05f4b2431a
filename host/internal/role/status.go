// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"fmt"
	"slices"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/role/keys"
	"github.com/vault-replication/vault-replication/host/internal/role/relations"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/retention"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// statuses makes the status of this node in each mode.
type statuses struct {
	tap       *storage.Tap
	roles     *roles
	sessions  *sessions
	relations *relations.Relations
	ring      *keys.Ring
	shares    *keys.Shares
	serving   Serving
	// missing says what a secondary lacks because its storage refuses it.
	missing func(context.Context, replication.Mode) (uint64, string, error)
	// looks lets callers share the cost of a status.
	looks map[replication.Mode]*looks
}

// Status is what the node knows of a mode, and what the plugin knows of its sessions. Without the plugin it answers
// too, and says so. Callers that ask together share one answer, which they may only read.
func (c *statuses) Status(ctx context.Context, mode replication.Mode) (*endpoints.ModeStatus, error) {
	return c.looks[mode].ask(ctx, func(ctx context.Context) (*endpoints.ModeStatus, error) { return c.look(ctx, mode) })
}

func (c *statuses) look(ctx context.Context, mode replication.Mode) (*endpoints.ModeStatus, error) {
	mr := c.roles.Record().mode(mode)
	s := &endpoints.ModeStatus{Role: mr.Role, ClusterID: mr.SetID, Contested: mr.Contested}
	if mr.Role == replication.Disabled {
		return s, nil
	}
	s.Fingerprint, _ = c.tap.Indexes().Fingerprint(mode)
	index := c.tap.Indexes().State(mode)
	s.CorruptedMerkleTree, s.LastCorruptionCheck, s.LastReindex = index.Wrong, index.Checked, index.Rebuilt
	s.Reindexing, s.Indexed, s.IndexTotal = index.Rebuilding, index.Read, index.Total
	s.UnclassifiedKeys = c.tap.UnknownKeys()
	trouble := c.roles.failure(mode)
	if trouble == "" {
		trouble = c.relations.Trouble(mode)
	}
	missing := ""
	if mr.Role == replication.Primary {
		// Not the watermark, which may be behind an answered write: a client that reads this number and sees a secondary
		// reach it must find its own writes there.
		if p, err := c.tap.LastWritten(mode); err == nil {
			s.LastWAL, s.LastModeWAL = p.Sequence, p.Sequence
		}
		s.Slots = slotsOf(c.tap.Slots(mode))
	} else {
		cur, held, err := c.ring.Cursor(ctx, mode)
		if err != nil {
			return nil, err
		}
		if held {
			trouble = keys.HeldText
		} else if trouble == "" {
			trouble = c.shares.Trouble()
		}
		if s.Missing, missing, err = c.missing(ctx, mode); err != nil {
			return nil, err
		}
		s.LastRemoteWAL, s.ConsistentFrom, s.Consistent = cur.Position.Sequence, cur.ConsistentFrom, cur.Consistent()
	}
	if mode.ServesClients() && mr.Role == replication.Secondary {
		if c.roles.bootstrapping.Load() {
			s.Role = replication.Bootstrapping
		} else {
			s.Lacks = c.serving.Lacks()
			if n := c.tap.Secondary(mode).Owed(); n > 0 {
				s.Lacks = append(s.Lacks, fmt.Sprintf("%d changes of the primary are stored here and the running core could not "+
					"take them up yet: what they change is served as it was before; it is tried again", n))
			}
		}
	}
	c.ask(ctx, mode, mr, s)
	s.Sessions.Secondaries = withHeard(s.Sessions.Secondaries, s.Slots)
	// A fault that the host knows matters more than the last trouble of a session.
	if trouble != "" {
		s.Sessions.LastError = trouble
	}
	s.Sessions.LastError = also(s.Sessions.LastError, missing)
	return s, nil
}

func slotsOf(kept []retention.Status) (slots []endpoints.Slot) {
	for _, slot := range kept {
		slots = append(slots, endpoints.Slot{
			ID: slot.ID, State: string(slot.State), Reason: slot.Reason, RetainedBytes: slot.RetainedBytes,
			RetainedAge: slot.RetainedAge, MaxBytes: slot.Allowed.Bytes, MaxAge: slot.Allowed.Age,
			Acknowledged: slot.Acknowledged, Heard: slot.Heard,
		})
	}
	return slots
}

// withHeard adds when secondaries were last heard of that have not come back since the plugin was started. It
// knows nothing of what was before, and the slots do.
func withHeard(peers []replication.Peer, kept []endpoints.Slot) []replication.Peer {
	peers = slices.Clone(peers)
	for i := range peers {
		p := &peers[i]
		at := slices.IndexFunc(kept, func(s endpoints.Slot) bool { return s.ID == p.NodeID })
		if p.LastHeartbeat.IsZero() && at >= 0 {
			p.LastHeartbeat = kept[at].Heard
		}
	}
	return peers
}

// LastWAL is the last sequence of the cluster: the last one that was written on a primary, and the last one that
// was applied on a secondary. It is 0 without a role.
func (c *statuses) LastWAL() (last uint64) {
	for _, mode := range modes {
		var at replication.Position
		switch c.roles.Role(mode) {
		case replication.Primary:
			at, _ = c.tap.LastWritten(mode)
		case replication.Secondary:
			at = c.tap.Secondary(mode).Applied(context.Background())
		case replication.Disabled, replication.Bootstrapping:
		}
		last = max(last, at.Sequence)
	}
	return last
}

// Known is what the node has in memory of a mode, its role above all.
func (c *statuses) Known(mode replication.Mode) *endpoints.ModeStatus {
	mr := c.roles.Record().mode(mode)
	s := &endpoints.ModeStatus{Role: mr.Role, ClusterID: mr.SetID, Contested: mr.Contested}
	s.Sessions = replication.Status{State: replication.Idle, ConnectionState: replication.ConnIdle,
		SecondaryID: mr.SecondaryID}
	if mode.ServesClients() && mr.Role == replication.Secondary && c.roles.bootstrapping.Load() {
		s.Role = replication.Bootstrapping
	}
	return s
}

// ask asks the plugin.
func (c *statuses) ask(ctx context.Context, mode replication.Mode, mr *ModeRecord, s *endpoints.ModeStatus) {
	s.Sessions = replication.Status{State: replication.Idle, ConnectionState: replication.ConnIdle,
		SecondaryID: mr.SecondaryID}
	b := c.sessions.plugins.Running(mode)
	if b == nil {
		s.Sessions.LastError = "the replication plugin is not running on this node"
		return
	}
	if trouble := c.sessions.plugins.Trouble(mode); trouble != "" {
		s.Sessions.LastError = trouble
		return
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	got, err := b.Status(ctx)
	if err != nil {
		s.Sessions.LastError = err.Error()
		return
	}
	s.Sessions = *got
}

// also adds what is missing, empty for nothing, to a sentence.
func also(said, missing string) string {
	if said != "" && missing != "" {
		said += "; "
	}
	return said + missing
}
