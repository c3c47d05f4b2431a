// SPDX-License-Identifier: MPL-2.0

package storage_test

import (
	"bytes"
	"regexp"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage"
)

// The way of a write can be followed in traces of both servers, and nothing is said otherwise.
func TestStationsOfAWrite(t *testing.T) {
	t.Parallel()
	for level, want := range map[hclog.Level][]string{
		hclog.Trace: {"numbered", "stored", "framed", "received", "applied"}, hclog.Debug: nil,
	} {
		t.Run(level.String(), func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			var mu sync.Mutex // chores of the journal may log too
			traced := func(o *storage.Options) {
				o.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Mutex: &mu, Level: level})
			}
			ctx := testContext(t)
			primary, secondary := newPrimary(t, newTxn(t), traced), newTap(t, newTxn(t), traced)
			at, err := primary.OpenSlot(ctx, dr, "s")
			require.NoError(t, err)
			copyAll(t, primary, secondary, dr, at)
			put(t, primary, "logical/u/a", "1")
			mu.Lock()
			log.Reset()
			mu.Unlock()
			put(t, primary, "logical/u/b", "2")
			f := nextFrame(t, primary, secondary)
			_, err = secondary.Secondary(dr).ApplyFrame(ctx, f)
			require.NoError(t, err)
			mu.Lock()
			said := log.String()
			mu.Unlock()
			var got []string
			for _, m := range regexp.MustCompile(`a write has passed: station=(\w+) sequence=(\d+) nanos=\d+`).
				FindAllStringSubmatch(said, -1) {
				require.Equal(t, "2", m[2])
				got = append(got, m[1])
			}
			require.Equal(t, want, got)
		})
	}
}
