// SPDX-License-Identifier: MPL-2.0

package anchor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/physical/raft"
	"github.com/hashicorp/vault/sdk/physical"
	"golang.org/x/sync/errgroup"
)

// The transactions of a first copy as the product makes them.
const (
	copyBytes    = 448 << 10
	copyInFlight = 16
	valueBytes   = 512
)

// Raft is Vault's raft storage of one node with a file of its own, and nothing around it.
type Raft struct{ backend *raft.RaftBackend }

// OpenRaft starts it in a folder that is empty.
func OpenRaft(ctx context.Context, dir string) (*Raft, error) {
	made, err := raft.NewRaftBackend(map[string]string{"path": dir, "node_id": "bare", "performance_multiplier": "1"},
		hclog.NewNullLogger())
	if err != nil {
		return nil, err
	}
	backend, ok := made.(*raft.RaftBackend)
	if !ok {
		return nil, errors.New("raft storage is of another type than expected")
	}
	r := &Raft{backend: backend}
	backend.DisableAutopilot()
	if err := backend.Bootstrap([]raft.Peer{{ID: backend.NodeID(), Address: backend.NodeID()}}); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if err := backend.SetupCluster(ctx, raft.SetupOpts{StartAsLeader: true}); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	// The first write waits until the node leads.
	for {
		err := backend.Put(ctx, &physical.Entry{Key: "first", Value: []byte("x")})
		if err == nil {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err(), r.Close())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Close ends it.
func (r *Raft) Close() error {
	return errors.Join(r.backend.TeardownCluster(nil), r.backend.Close())
}

// Copy writes entries as a first copy does: in transactions of 448 KiB, 16 at a time.
func (r *Raft) Copy(ctx context.Context, entries int) (took time.Duration, err error) {
	value := []byte(strings.Repeat("x", valueBytes))
	started := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(copyInFlight)
	for first := 0; first < entries; {
		var writes []*physical.TxnEntry
		for size := 0; size < copyBytes && first < entries; first++ {
			e := &physical.Entry{Key: fmt.Sprintf("logical/copy/%08d", first), Value: value}
			writes = append(writes, &physical.TxnEntry{Operation: physical.PutOperation, Entry: e})
			size += len(e.Key) + len(e.Value)
		}
		group.Go(func() error { return r.backend.Transaction(ctx, writes) })
	}
	err = group.Wait()
	return time.Since(started), err
}

// Write writes from a number of callers for a time. With a row each write is a transaction of two
// entries, as a journalled one is.
func (r *Raft) Write(ctx context.Context, callers int, withRow bool, limit time.Duration) (perSecond float64,
	err error) {
	value := []byte(strings.Repeat("x", valueBytes))
	done := make([]int, callers)
	started := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for i := range callers {
		group.Go(func() error {
			for n := 0; time.Since(started) < limit; n++ {
				name := fmt.Sprintf("%02d/%06d", i, n)
				writes := []*physical.TxnEntry{put("logical/write/"+name, value)}
				if withRow {
					writes = append(writes, put("wal/logs/"+name, value[:100]))
				}
				if err := r.backend.Transaction(ctx, writes); err != nil {
					return err
				}
				done[i]++
			}
			return nil
		})
	}
	err = group.Wait()
	took := time.Since(started)
	total := 0
	for _, n := range done {
		total += n
	}
	return float64(total) / took.Seconds(), err
}

func put(key string, value []byte) *physical.TxnEntry {
	return &physical.TxnEntry{Operation: physical.PutOperation, Entry: &physical.Entry{Key: key, Value: value}}
}
