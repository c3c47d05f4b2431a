// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/physical"

	"github.com/vault-replication/vault-replication/host/internal/pairing"
	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/host/storage/secondary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// rows makes the rows of a change and stores them.
type rows struct {
	core   *vaultcore.Core
	tap    *storage.Tap
	store  physical.Backend
	paired *pairing.Book
}

// stateRows are the plugin's records that a transition changes, by storage key,
// in clear; nil deletes.
func (rs *rows) stateRows(ctx context.Context, mode replication.Mode, t *replication.Transition) (map[string][]byte,
	error) {
	rows := map[string][]byte{}
	if t.ClearState {
		for _, prefix := range append(rs.paired.Prefixes(mode), records.OfPlugin(mode)) {
			names, err := records.Below(ctx, rs.core, prefix)
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				rows[prefix+name] = nil
			}
		}
	}
	for _, name := range t.DeleteState {
		if err := records.CheckName(name); err != nil {
			return nil, err
		}
		rows[records.OfPlugin(mode)+name] = nil
	}
	for name, value := range t.PutState {
		if err := records.Check(name, value); err != nil {
			return nil, err
		}
		if value == nil {
			value = []byte{}
		}
		rows[records.OfPlugin(mode)+name] = value
	}
	return rows, nil
}

// encrypted turns rows in clear into storage rows under the open barrier.
func (rs *rows) encrypted(ctx context.Context, rows map[string][]byte) ([]onestep.Row, error) {
	out := make([]onestep.Row, 0, len(rows))
	for key, plain := range rows {
		row := onestep.Row{Key: key}
		if plain != nil {
			var err error
			if row.Value, err = rs.core.Encrypt(ctx, key, plain); err != nil {
				return nil, fmt.Errorf("encryption of %s: %w", key, err)
			}
		}
		out = append(out, row)
	}
	return out, nil
}

// withRole adds the role record to rows in clear.
func withRole(rows map[string][]byte, r *Record) error {
	raw, err := r.encode()
	if err != nil {
		return err
	}
	// If the next unseal cannot read the record, the node stays sealed.
	if _, err := decodeRecord(raw); err != nil {
		return replication.Errorf(replication.Internal, "the plugin asked for a role that cannot be stored: %w", err)
	}
	rows[recordKey], rows[hadRoleKey] = raw, hadRole
	if r.standsFor() != "" {
		// The primary has this row, and it comes from there.
		return nil
	}
	rows[inheritedKey] = nil
	if r.mode(ofClients).Role != replication.Disabled {
		if rows[inheritedKey], err = r.encodeInherited(); err != nil {
			return err
		}
	}
	return nil
}

// recordRows are the storage rows of a record and of rows in clear that go with it.
func (rs *rows) recordRows(ctx context.Context, rows map[string][]byte, r *Record) ([]onestep.Row, error) {
	if err := withRole(rows, r); err != nil {
		return nil, err
	}
	return rs.encrypted(ctx, rows)
}

// write stores rows in one transaction, past the guard.
func (rs *rows) write(ctx context.Context, rows []onestep.Row) error {
	if err := rs.tap.Step(ctx, rows); err != nil {
		return failure.Storage("write the change of role", err)
	}
	return nil
}

// plainPrefix is the prefix of the unencrypted rows of a mode: cursor, slots.
func plainPrefix(mode replication.Mode) string { return "replication/" + string(mode) + "/" }

// deletions deletes all storage keys below prefixes.
func (rs *rows) deletions(ctx context.Context, prefixes ...string) (rows []onestep.Row, err error) {
	for _, prefix := range prefixes {
		keys, err := records.Stored(ctx, rs.store, prefix)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			rows = append(rows, onestep.Row{Key: key})
		}
	}
	return rows, nil
}

// endOfHistory is the cursor of a demoted primary. It is at the primary's last write, where the content is consistent,
// so the cluster may be promoted again as long as nobody else was.
func (rs *rows) endOfHistory(mode replication.Mode, from replication.Role) ([]onestep.Row, error) {
	if from != replication.Primary {
		return nil, nil
	}
	p, err := rs.tap.Position(mode)
	if err != nil {
		return nil, err
	}
	cursor, err := secondary.CursorAt(mode, p.Position)
	if err != nil {
		return nil, err
	}
	return []onestep.Row{{Key: cursor.Key, Value: cursor.Value}}, nil
}

// endingRows deletes the unencrypted rows that end with the former role: slots when a primary ends, the cursor when the
// cluster leaves the set. A promoted secondary keeps its cursor, because its own numbers begin above it.
func (rs *rows) endingRows(ctx context.Context, mode replication.Mode, to replication.Role) ([]onestep.Row, error) {
	if to == replication.Disabled {
		return rs.deletions(ctx, plainPrefix(mode))
	}
	var prefixes []string
	for _, m := range modes {
		if to == replication.Secondary && (m == mode || mode.StandsIn()) {
			prefixes = append(prefixes, plainPrefix(m)+"slots/")
		}
	}
	return rs.deletions(ctx, prefixes...)
}

// ownRecords returns the decrypted records of replication that belong to this cluster. It leaves out the records that
// came from its primary.
func (rs *rows) ownRecords(ctx context.Context, mode replication.Mode) (map[string][]byte, error) {
	names, err := records.Below(ctx, rs.core, records.Prefix)
	if err != nil {
		return nil, err
	}
	var classes keyclass.Classifier
	kept := map[string][]byte{}
	for _, name := range names {
		key := records.Prefix + name
		if classes.Replicated(mode, key) {
			continue
		}
		if kept[key], err = rs.core.GetEntry(ctx, key); err != nil {
			return nil, err
		}
	}
	return kept, nil
}
