// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// BenchmarkPut compares writes of 512 bytes to the storage itself, through an
// idle tap, with a journal without and with a slot:
//
//	go test ./host/storage -run '^$' -bench BenchmarkPut -cpu 1,16
func BenchmarkPut(b *testing.B) {
	for name, make := range map[string]func(testing.TB) physical.Backend{"inmem": newTxn, "file": newFile} {
		for _, how := range []string{"plain", "idle", "journal", "slot"} {
			b.Run(name+"/"+how, func(b *testing.B) {
				inner := make(b)
				target := inner
				if how != "plain" {
					tap := storage.New(inner, storage.Options{})
					b.Cleanup(func() { require.NoError(b, tap.Close(context.Background())) })
					if how != "idle" {
						require.NoError(b, tap.Activate(context.Background(), config(dr)))
						fingerprintOf(b, tap, dr)
					}
					if how == "slot" {
						_, err := tap.OpenSlot(context.Background(), dr, "s")
						require.NoError(b, err)
					}
					target = tap.Backend()
				}
				benchPuts(b, target)
			})
		}
	}
}

func benchPuts(b *testing.B, target physical.Backend) {
	value := make([]byte, 512)
	var next atomic.Uint64
	ctx := context.Background()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			k := "logical/7c7b5b4e-0000-4b1c-9d59-b03d1d0c5b44/key-" + strconv.FormatUint(next.Add(1)%50000, 10)
			if err := target.Put(ctx, &physical.Entry{Key: k, Value: value}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkCopy is a first copy from memory into memory, entries of 512 bytes.
func BenchmarkCopy(b *testing.B) {
	primary := newPrimary(b, newTxn(b))
	for i := range 50000 {
		require.NoError(b, primary.Inner().Put(context.Background(),
			&physical.Entry{Key: key(i), Value: []byte(fmt.Sprintf("%0512d", i))}))
	}
	at, err := primary.OpenSlot(context.Background(), dr, "s")
	require.NoError(b, err)
	b.ResetTimer()
	for range b.N {
		secondary := storage.New(newTxn(b), storage.Options{})
		copyAll(b, primary, secondary, replication.DR, at)
		require.NoError(b, secondary.Close(context.Background()))
	}
	b.ReportMetric(50000*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
