// SPDX-License-Identifier: MPL-2.0

package role

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/helper/consts"

	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// Names of the host's own records. They are of class Own, except inheritedKey, which is Local.
const (
	recordKey = records.Prefix + "role"
	// hadRoleKey is written with the first role and stays for ever. If it is there without a role, the role was removed.
	hadRoleKey = records.Prefix + "had-role"
	// inheritedKey has a copy of the role in performance replication that DR secondaries get: one that is promoted takes
	// the role over.
	inheritedKey = records.Prefix + string(ofClients) + "/role"
	// OperationTokenKey is where the hash of the DR operation token is kept.
	OperationTokenKey = records.Prefix + "dr-operation-token"
	// PluginPrefix is the prefix of the entries of the plugin catalog. They are this cluster's own and stay when it joins
	// a primary.
	PluginPrefix = records.Prefix + "plugins/"
)

// recordVersion is the version of the stored form; any other is refused.
const recordVersion = 1

// Record is the role of the cluster in each mode.
type Record struct {
	Version     int        `json:"version"`
	DR          ModeRecord `json:"dr"`
	Performance ModeRecord `json:"performance"`
}

// ModeRecord is the role in one mode.
type ModeRecord struct {
	Role replication.Role `json:"role"`
	// SetID is the id of the replication set.
	SetID string `json:"set_id,omitempty"`
	// Epoch is the epoch of a primary itself, or the last known epoch of a secondary's primary.
	Epoch replication.Epoch `json:"epoch"`
	// IndexKey keys the fingerprints of the set; 32 bytes.
	IndexKey []byte `json:"index_key,omitempty"`
	// SecondaryID and Pairing are from the activation token that a secondary joined with.
	SecondaryID string `json:"secondary_id,omitempty"`
	Pairing     []byte `json:"pairing,omitempty"`
	// Contested says that the role was taken over beside a cluster that was alive and may still have it; see
	// replication.StartRequest.
	Contested bool `json:"contested,omitempty"`
}

// disabledRecord is the record of a cluster that never had replication.
func disabledRecord() *Record {
	return &Record{
		Version:     recordVersion,
		DR:          ModeRecord{Role: replication.Disabled},
		Performance: ModeRecord{Role: replication.Disabled},
	}
}

// mode is the part for one mode.
func (r *Record) mode(m replication.Mode) *ModeRecord {
	if m == ofClients {
		return &r.Performance
	}
	return &r.DR
}

// is says whether the cluster has a role in any mode.
func (r *Record) is(want replication.Role) bool {
	return slices.ContainsFunc(modes, func(m replication.Mode) bool { return r.mode(m).Role == want })
}

// standsFor is the mode in which the cluster stands in for a primary, and can have no role in
// another mode; empty for none.
func (r *Record) standsFor() replication.Mode {
	for _, m := range modes {
		if m.StandsIn() && r.mode(m).Role == replication.Secondary {
			return m
		}
	}
	return ""
}

// others says whether the cluster has a role in another mode.
func (r *Record) others(than replication.Mode) bool {
	return slices.ContainsFunc(modes, func(m replication.Mode) bool {
		return m != than && r.mode(m).Role != replication.Disabled
	})
}

// servesNothing says whether the cluster is a secondary that serves no clients.
func (r *Record) servesNothing() bool {
	return slices.ContainsFunc(modes, func(m replication.Mode) bool {
		return r.mode(m).Role == replication.Secondary && !m.ServesClients()
	})
}

// clone is a deep copy.
func (r *Record) clone() *Record {
	c := *r
	for _, m := range modes {
		mr := c.mode(m)
		mr.IndexKey, mr.Pairing = bytes.Clone(mr.IndexKey), bytes.Clone(mr.Pairing)
	}
	return &c
}

func (r *Record) encode() ([]byte, error) { return json.Marshal(r) }

// decodeRecord refuses everything that it does not understand, because a guessed role is worse than a node that stays
// sealed.
func decodeRecord(raw []byte) (*Record, error) {
	var r Record
	if err := (strictjson.Record{Name: "it", Version: recordVersion}).Decode(raw, &r); err != nil {
		return nil, err
	}
	for _, mode := range modes {
		switch m := r.mode(mode); m.Role {
		case replication.Disabled:
		case replication.Primary, replication.Secondary:
			if m.SetID == "" || len(m.IndexKey) != 32 || m.Epoch.IsZero() {
				return nil, fmt.Errorf("its role %q has no replication set", m.Role)
			}
		default:
			return nil, fmt.Errorf("its role %q is unknown", m.Role)
		}
	}
	if m := r.standsFor(); m != "" && r.others(m) {
		return nil, fmt.Errorf("a %s secondary cannot have another role", m.Name())
	}
	return &r, nil
}

// encodeInherited is the role in performance replication as DR secondaries get it.
func (r *Record) encodeInherited() ([]byte, error) {
	only := disabledRecord()
	*only.mode(ofClients) = *r.mode(ofClients)
	return only.encode()
}

// inherited is the role in performance replication that a promoted DR secondary takes over.
func inherited(ctx context.Context, store store) (*ModeRecord, error) {
	raw, err := store.GetEntry(ctx, inheritedKey)
	if err != nil {
		return nil, fmt.Errorf("the role of the former primary in performance replication cannot be read: %w", err)
	}
	if raw == nil {
		return &ModeRecord{Role: replication.Disabled}, nil
	}
	r, err := decodeRecord(raw)
	if err != nil {
		return nil, fmt.Errorf("the role of the former primary in performance replication cannot be used: %w", err)
	}
	return r.mode(ofClients), nil
}

// word is the record as Vault's replication state. A performance secondary whose first copy has not ended is built like
// a DR secondary, because it has nothing to serve yet.
func (r *Record) word(bootstrapping bool) consts.ReplicationState {
	if bootstrapping {
		return consts.ReplicationDRSecondary | consts.ReplicationPerformanceBootstrapping
	}
	var w consts.ReplicationState
	switch r.DR.Role {
	case replication.Primary:
		w |= consts.ReplicationDRPrimary
	case replication.Secondary:
		w |= consts.ReplicationDRSecondary
	default:
		w |= consts.ReplicationDRDisabled
	}
	switch r.Performance.Role {
	case replication.Primary:
		w |= consts.ReplicationPerformancePrimary
	case replication.Secondary:
		w |= consts.ReplicationPerformanceSecondary
	default:
		w |= consts.ReplicationPerformanceDisabled
	}
	return w
}

// records is the store behind the barrier.
type store interface {
	GetEntry(ctx context.Context, key string) ([]byte, error)
	ListEntries(ctx context.Context, prefix string) ([]string, error)
}

// loadRecord reads the record from behind the open barrier.
func loadRecord(ctx context.Context, store store) (*Record, error) {
	raw, err := store.GetEntry(ctx, recordKey)
	if err != nil {
		return nil, fmt.Errorf("the role record of replication cannot be read, and without it this node must not be "+
			"unsealed: restore storage from a snapshot: %w", err)
	}
	if raw != nil {
		r, err := decodeRecord(raw)
		if err != nil {
			return nil, fmt.Errorf("the role record of replication cannot be used, and without it this node must not be "+
				"unsealed: restore storage from a snapshot, or use the build that wrote it: %w", err)
		}
		return r, nil
	}
	had, err := hasHadRole(ctx, store)
	if err != nil {
		return nil, fmt.Errorf("the records of replication cannot be read: %w", err)
	}
	if had {
		return nil, errors.New("the role record of replication is missing while this cluster has had a role, so this node " +
			"must not be unsealed: restore storage from a snapshot")
	}
	return disabledRecord(), nil
}

// hasHadRole says whether a cluster without a role has had one: a removed record must not turn a secondary into a
// primary. Clusters of former versions have no mark, but other records. A name in a listing proves nothing, because
// file storage also lists what cut writes have left.
func hasHadRole(ctx context.Context, store store) (bool, error) {
	keys := []string{hadRoleKey}
	for _, m := range modes {
		names, err := records.Below(ctx, store, records.OfMode(m))
		if err != nil {
			return false, err
		}
		for _, name := range names {
			keys = append(keys, records.OfMode(m)+name)
		}
	}
	for _, key := range keys {
		if raw, err := store.GetEntry(ctx, key); err != nil || raw != nil {
			return raw != nil, err
		}
	}
	return false, nil
}

// marked is the store of the records that say which role a cluster has.
type marked interface {
	store
	PutEntry(ctx context.Context, key string, value []byte) error
}

// markHadRole marks a cluster whose role was written by a version without the mark.
func markHadRole(ctx context.Context, store marked) error {
	names, err := store.ListEntries(ctx, records.Prefix)
	if err != nil {
		return fmt.Errorf("the records of replication cannot be listed: %w", err)
	}
	has := func(key string) bool { return slices.Contains(names, strings.TrimPrefix(key, records.Prefix)) }
	if !has(recordKey) || has(hadRoleKey) {
		return nil
	}
	if err := store.PutEntry(ctx, hadRoleKey, hadRole); err != nil {
		return fmt.Errorf("the mark that this cluster has had a role cannot be written: %w", err)
	}
	return nil
}

// hadRole is the content of the mark.
var hadRole = []byte("1")
