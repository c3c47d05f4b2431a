// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/vault/sdk/physical"
)

// RedoKey is the storage key of the redo record. It is of class Own.
const RedoKey = "replication/redo"

// Row is one storage row; a nil Value deletes it.
type Row struct {
	Key   string
	Value []byte
}

// Write writes the rows in one step. After an error it is not known whether the
// step was taken: reading one of the rows back tells, for there is nothing in
// between.
func Write(ctx context.Context, store physical.Backend, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	if txn, ok := store.(physical.TransactionalBackend); ok {
		return transaction(ctx, txn, rows)
	}
	record, err := encode(rows)
	if err != nil {
		return err
	}
	if err := store.Put(ctx, &physical.Entry{Key: RedoKey, Value: record}); err != nil {
		return fmt.Errorf("write of the redo record: %w", err)
	}
	return finish(ctx, store, rows)
}

// Redo finishes a step that was cut. It must run before anything else reads the
// storage; without a redo record it does nothing.
func Redo(ctx context.Context, store physical.Backend) error {
	if _, ok := store.(physical.TransactionalBackend); ok {
		return nil
	}
	e, err := store.Get(ctx, RedoKey)
	if err != nil {
		return fmt.Errorf("read of the redo record: %w", err)
	}
	if e == nil {
		return nil
	}
	rows, err := decode(e.Value)
	if err != nil {
		// The record itself was cut: the step was never taken.
		return store.Delete(ctx, RedoKey)
	}
	return finish(ctx, store, rows)
}

func transaction(ctx context.Context, store physical.TransactionalBackend, rows []Row) error {
	txns := make([]*physical.TxnEntry, 0, len(rows))
	for _, r := range rows {
		op := physical.Operation(physical.PutOperation)
		if r.Value == nil {
			op = physical.DeleteOperation
		}
		txns = append(txns, &physical.TxnEntry{Operation: op, Entry: &physical.Entry{Key: r.Key, Value: r.Value}})
	}
	return store.Transaction(ctx, txns)
}

func finish(ctx context.Context, store physical.Backend, rows []Row) error {
	for _, r := range rows {
		var err error
		if r.Value == nil {
			err = store.Delete(ctx, r.Key)
		} else {
			err = store.Put(ctx, &physical.Entry{Key: r.Key, Value: r.Value})
		}
		if err != nil {
			return fmt.Errorf("write of %s: %w", r.Key, err)
		}
	}
	if err := store.Delete(ctx, RedoKey); err != nil {
		return fmt.Errorf("removal of the redo record: %w", err)
	}
	return nil
}

// encode is a CRC-32C (big-endian) before the rows as JSON.
func encode(rows []Row) ([]byte, error) {
	body, err := json.Marshal(rows)
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(nil, checksum(body)), body...), nil
}

func decode(record []byte) ([]Row, error) {
	if len(record) < 4 || binary.BigEndian.Uint32(record) != checksum(record[4:]) {
		return nil, errors.New("the redo record is torn")
	}
	dec := json.NewDecoder(bytes.NewReader(record[4:]))
	dec.DisallowUnknownFields()
	var rows []Row
	if err := dec.Decode(&rows); err != nil {
		return nil, fmt.Errorf("the redo record is malformed: %w", err)
	}
	return rows, nil
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
