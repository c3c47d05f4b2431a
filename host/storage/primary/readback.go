// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"

	"github.com/vault-replication/vault-replication/host/storage/failure"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// rowGroup is how many numbers are read from storage at once.
const rowGroup = 64

// fromStorage makes a frame from stored rows and the present values of their keys.
func (r *reader) fromStorage() (*replication.Frame, error) {
	if err := r.j.kept.Stored(r.mode, r.slot, r.after); err != nil {
		return nil, err
	}
	enc := journal.NewFrameEncoder(r.after)
	f := &replication.Frame{After: r.after}
	at := r.after
	for enc.Bytes() < r.of.frames {
		// The next frame takes the rows that are in memory from there.
		end := min(at+rowGroup, r.j.seq.Floor(), r.j.seq.Watermark())
		if end <= at {
			break
		}
		rows, err := r.readRows(r.ctx, at, end)
		if err != nil {
			return nil, err
		}
		cut, whole, err := r.readFitting(r.ctx, rows, r.of.frames-enc.Bytes())
		if err != nil {
			return nil, err
		}
		asOf := r.j.seq.Allocated()
		f.ConsistentFrom = max(f.ConsistentFrom, addRows(enc, rows[:cut], asOf, r.tablesAhead(rows[:cut])))
		if !whole {
			at = rows[cut-1].Sequence
			break
		}
		at = end
	}
	// If rows were deleted while they were read, some may be missing.
	if err := r.j.kept.Stored(r.mode, r.slot, r.after); err != nil {
		return nil, err
	}
	f.To = r.j.kept.At(r.epoch, at)
	f.Payload = enc.Payload()
	return f, nil
}

// readRows reads the rows of a span of numbers, in order, with the operations of the reader's mode. A number without a
// row was never committed.
func (r *reader) readRows(ctx context.Context, after, to uint64) ([]journal.Row, error) {
	terms := r.j.kept.Terms()
	keys := make([]string, 0, to-after)
	for n := after + 1; n <= to; n++ {
		keys = append(keys, journal.RowKey(journal.TermOf(terms, n), n))
	}
	values, err := r.of.below.ReadAll(ctx, keys)
	if err != nil {
		return nil, failure.Storage("read journal rows", err)
	}
	rows := make([]journal.Row, 0, len(keys))
	for i, b := range values {
		if b == nil {
			continue
		}
		ops, err := journal.DecodeRow(b)
		if err != nil {
			return nil, replication.Errorf(replication.PositionLost, "the journal row %s cannot be read, so the secondary has "+
				"to compare and copy: %w", keys[i], err)
		}
		if ops = r.relevant(ops); len(ops) > 0 {
			row := journal.Row{Sequence: after + 1 + uint64(i), Ops: ops}
			if journal.Doubtful(terms, row.Sequence) {
				// A later row may be the reason why the key has this row's value.
				row.ConsistentFrom = row.Sequence + 1
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// readFitting gives rows their values, as far as they fit into a number of bytes, and at least the first one. cut is
// how many these are; whole says that it is all of them. It reads only as many at once as are likely to fit, because
// values may be large.
func (r *reader) readFitting(ctx context.Context, rows []journal.Row, bytes int) (cut int, whole bool, err error) {
	used := 0
	for cut < len(rows) {
		part := rows[cut:min(cut+max(r.fit, 1), len(rows))]
		if err := r.readValues(ctx, part); err != nil {
			return 0, false, err
		}
		for i := range part {
			if cut > 0 && used+part[i].Bytes > bytes {
				return cut, false, nil
			}
			used += part[i].Bytes
			cut++
			r.fit = min((bytes-used)/(used/cut+1), rowGroup)
		}
	}
	return cut, true, nil
}

// readValues gives each operation the present value of its key, and marks the rows whose own values differ.
func (r *reader) readValues(ctx context.Context, rows []journal.Row) error {
	index := map[string]int{}
	var keys []string
	for i := range rows {
		for k := range rows[i].Ops {
			key := rows[i].Ops[k].Key
			if _, ok := index[key]; !ok {
				index[key] = len(keys)
				keys = append(keys, key)
			}
		}
	}
	values, err := r.of.below.ReadAll(ctx, keys)
	if err != nil {
		return failure.Storage("read the values of journal rows", err)
	}
	for i := range rows {
		ops := rows[i].Ops[:0:0]
		for _, op := range rows[i].Ops {
			now := values[index[op.Key]]
			if now == nil && op.Kind == journal.Put && keyclass.ByMount(r.mode) &&
				r.of.below.Classes().Unmounted(op.Key) {
				// Its mount is gone. The key was deleted after the row of the table that marks the mount, but this row may come
				// before that one.
				rows[i].ConsistentFrom = rows[i].Sequence + 1
				continue
			}
			exact := now == nil && op.Kind == journal.Delete ||
				now != nil && op.Kind == journal.Put && journal.HashOf(now) == op.Hash
			op.Kind, op.Value = journal.Put, now
			if now == nil {
				op.Kind = journal.Delete
			}
			if !exact {
				// Any later number will do; addRows computes the right one.
				rows[i].ConsistentFrom = rows[i].Sequence + 1
			}
			ops = append(ops, op)
		}
		rows[i].Ops = ops
		rows[i].Weigh()
	}
	return nil
}

// tablesAhead says, for each mount table, in which row a performance secondary gets it besides the last one: the last
// row with the table before the first deletion below a view. Vault unmounts an engine in three steps: a table that
// marks it, the deletion of its storage, a table without it. At the first step the secondary revokes what the engine
// has issued, and needs the engine's storage for that.
func (r *reader) tablesAhead(rows []journal.Row) map[string]int {
	if !keyclass.ByMount(r.mode) {
		return nil
	}
	ahead := map[string]int{}
	for i := range rows {
		for _, op := range rows[i].Ops {
			switch {
			case keyclass.Tables[op.Key] != "":
				ahead[op.Key] = i
			case op.Kind == journal.Delete && keyclass.InView(op.Key):
				return ahead
			}
		}
	}
	return nil
}

// addRows adds rows with present values. Each key comes once, in the last row that has it; a table comes also in its
// row of ahead. It returns the sequence from which the content is consistent again, 0 if it is consistent throughout.
func addRows(enc *journal.FrameEncoder, rows []journal.Row, asOf uint64, ahead map[string]int) (consistentFrom uint64) {
	last := map[string]int{}
	for i := range rows {
		for k := range rows[i].Ops {
			last[rows[i].Ops[k].Key] = i
		}
	}
	for i := range rows {
		row := &rows[i]
		if row.ConsistentFrom != 0 {
			consistentFrom = max(consistentFrom, asOf)
		}
		ops := row.Ops[:0:0]
		for _, op := range row.Ops {
			at := last[op.Key]
			if first, early := ahead[op.Key]; at == i || (early && first == i) {
				ops = append(ops, op)
			}
			if at != i {
				consistentFrom = max(consistentFrom, rows[at].Sequence)
			}
		}
		if len(ops) > 0 {
			enc.Add(row.Sequence, ops)
		}
	}
	return consistentFrom
}
