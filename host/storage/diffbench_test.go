// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
)

// BenchmarkDiff compares two clusters of 512-byte entries that differ in a few, both
// in memory and with an index that is there: what the comparison itself costs, in time
// and in bytes on the link. Scan is how long the index takes when none is stored.
func BenchmarkDiff(b *testing.B) {
	for _, keys := range []int{100_000, 1_000_000} {
		value := strings.Repeat("x", 512)
		ctx := b.Context()
		primary, secondary := newPrimary(b, newTxn(b)), newTap(b, newTxn(b))
		for i := range keys {
			putInner(b, primary.Inner(), key(i), value)
			putInner(b, secondary.Inner(), key(i), value)
		}
		scan := func(tap *storage.Tap) time.Duration {
			require.NoError(b, tap.StopFingerprint(ctx, dr))
			heads, err := tap.StoredIndexes(ctx)
			require.NoError(b, err)
			for _, head := range heads {
				require.NoError(b, tap.Inner().Delete(ctx, head))
			}
			begin := time.Now()
			require.NoError(b, tap.StartFingerprint(ctx, dr, indexKey))
			for root, _ := tap.Indexes().Fingerprint(dr); root == nil; root, _ = tap.Indexes().Fingerprint(dr) {
				time.Sleep(time.Millisecond)
			}
			return time.Since(begin)
		}
		scan(primary)
		for _, differ := range []int{1, 100} {
			b.Run(fmt.Sprintf("keys=%d/differ=%d", keys, differ), func(b *testing.B) {
				var out comparison
				var scanned time.Duration
				for range b.N {
					b.StopTimer()
					for i := range differ {
						putInner(b, secondary.Inner(), key(i*(keys/differ)+7), "flipped")
					}
					scanned = scan(secondary)
					at, err := primary.OpenSlot(ctx, dr, "s")
					require.NoError(b, err)
					b.StartTimer()
					require.NoError(b, secondary.Secondary(dr).BeginCopy(ctx, at, nil))
					out = compare(b, primary, secondary, dr, "s", 0)
				}
				require.Equal(b, uint64(differ), out.synced)
				b.ReportMetric(float64(out.bytes), "bytes")
				b.ReportMetric(float64(out.questions), "questions")
				b.ReportMetric(scanned.Seconds()*1000, "scan-ms")
			})
		}
	}
}

// BenchmarkDiffAfterRestart is the same from when both clusters start, with an index that
// is stored, until the comparison has ended.
func BenchmarkDiffAfterRestart(b *testing.B) {
	for _, keys := range []int{100_000, 1_000_000} {
		value := strings.Repeat("x", 512)
		ctx := b.Context()
		inner := [2]physical.Backend{newTxn(b), newTxn(b)}
		for i := range keys {
			putInner(b, inner[0], key(i), value)
			putInner(b, inner[1], key(i), value)
		}
		for _, differ := range []int{1, 100} {
			b.Run(fmt.Sprintf("keys=%d/differ=%d", keys, differ), func(b *testing.B) {
				var out comparison
				var open time.Duration
				for range b.N {
					b.StopTimer()
					primary, secondary := newPrimary(b, inner[0]), newTap(b, inner[1])
					require.NoError(b, secondary.StartFingerprint(ctx, dr, indexKey))
					fingerprintOf(b, primary, dr)
					fingerprintOf(b, secondary, dr)
					at, err := primary.OpenSlot(ctx, dr, "s")
					require.NoError(b, err)
					require.NoError(b, secondary.Secondary(dr).BeginCopy(ctx, at, nil))
					compare(b, primary, secondary, dr, "s", 0)
					// The tap's own way, as a primary that differs.
					for i := range differ {
						put(b, primary, key(i*(keys/differ)+7), fmt.Sprint("flipped ", b.N, time.Now()))
					}
					require.NoError(b, primary.Close(ctx))
					require.NoError(b, secondary.Close(ctx))
					runtime.GC()
					b.StartTimer()
					begin := time.Now()
					primary, secondary = newPrimary(b, inner[0]), newTap(b, inner[1])
					require.NoError(b, secondary.StartFingerprint(ctx, dr, indexKey))
					for root, _ := secondary.Indexes().Fingerprint(dr); root == nil; root, _ = secondary.Indexes().Fingerprint(dr) {
						time.Sleep(time.Millisecond)
					}
					open = time.Since(begin)
					at, err = primary.OpenSlot(ctx, dr, "s")
					require.NoError(b, err)
					require.NoError(b, secondary.Secondary(dr).BeginCopy(ctx, at, nil))
					out = compare(b, primary, secondary, dr, "s", 0)
					b.StopTimer()
					require.NoError(b, primary.Close(ctx))
					require.NoError(b, secondary.Close(ctx))
					b.StartTimer()
				}
				require.Equal(b, uint64(differ), out.synced)
				b.ReportMetric(float64(out.bytes), "bytes")
				b.ReportMetric(open.Seconds()*1000, "index-ms")
			})
		}
	}
}

// BenchmarkIndexMemory is what the index takes for each key.
func BenchmarkIndexMemory(b *testing.B) {
	for _, keys := range []int{100_000, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			for range b.N {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				x := fingerprint.NewIndex(fingerprint.NewHasher(indexKey))
				p := x.Begin()
				group, values := make([]string, 64), make([][]byte, 64)
				for i := 0; i < keys; i += len(group) {
					for j := range group {
						group[j], values[j] = fmt.Sprintf("logical/4f9a0b52-0a57-48b6-8bb1-5d0d3a3f2f55/%09d", i+j), []byte("value")
					}
					_, _ = p.Advance(group[len(group)-1])
					p.Add(group, values)
				}
				done, _, _ := p.Finish()
				require.True(b, done)
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(keys), "bytes/key")
				b.ReportMetric(float64(x.Ranges()), "ranges")
				runtime.KeepAlive(x)
			}
		})
	}
}
