// SPDX-License-Identifier: MPL-2.0

package lag_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/lag"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func at(sequence uint64) replication.Position {
	return replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "a"}, Sequence: sequence}
}

func TestAge(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1000, 0)
	sec := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Second) }
	var tr lag.Tracker
	require.Zero(t, tr.Age(at(1), sec(0)))
	tr.Observe(at(10), sec(0))
	tr.Observe(at(10), sec(5))
	require.Equal(t, time.Second, tr.Age(at(10), sec(6)), "nothing was written: current as of the last word")
	tr.Observe(at(20), sec(6))
	tr.Observe(at(30), sec(7))
	require.Equal(t, 4*time.Second, tr.Age(at(15), sec(9)), "of the newest point reached")
	require.Equal(t, 2*time.Second, tr.Age(at(30), sec(9)))
	tr.Observe(replication.Position{Epoch: replication.Epoch{Generation: 2, ID: "b"}, Sequence: 1}, sec(10))
	require.Equal(t, 3*time.Second, tr.Age(at(30), sec(13)), "positions of another epoch mean nothing")
}

func TestLongLagIsBoundedAndStillMeasured(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1000, 0)
	var tr lag.Tracker
	const seconds = 100_000
	for i := range seconds {
		tr.Observe(at(uint64(i)), begin.Add(time.Duration(i)*time.Second))
	}
	now := begin.Add(seconds * time.Second)
	age := tr.Age(at(seconds/2), now)
	require.InDelta(t, (seconds / 2 * time.Second).Seconds(), age.Seconds(), seconds/100)
	require.Equal(t, time.Second, tr.Age(at(seconds), now))
}
