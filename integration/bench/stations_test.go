// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/station"
)

func TestGapsBetweenTheStations(t *testing.T) {
	t.Parallel()
	line := func(at station.Station, sequence uint64, ms int) string {
		return fmt.Sprintf("2026-11-30T22:00:00.000Z [TRACE] replication: %s: station=%s sequence=%d nanos=%d\n",
			station.Passed, at, sequence, ms*1e6)
	}
	p := passages{}
	require.NoError(t, p.read([]byte(line(station.Numbered, 6, 90)+line(station.Numbered, 7, 101)+
		line(station.Stored, 7, 103)+"something else\n"+line(station.Framed, 6, 102)+line(station.Framed, 9, 106))))
	require.NoError(t, p.read([]byte(line(station.Received, 9, 110)+line(station.Applied, 8, 115)+
		line(station.Applied, 9, 200))))
	at := func(ms int) time.Time { return time.Unix(0, int64(ms)*1e6) }
	var got []float64
	for _, g := range p.gaps([]traced{{sequence: 7, sent: at(100), answered: at(104), readable: at(121)},
		{sequence: 8, sent: at(100), answered: at(104), readable: at(121)}}) {
		require.Len(t, g.seconds, 1, "the log has no number 8")
		got = append(got, g.seconds[0])
	}
	require.InDeltaSlice(t, []float64{0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.021, 0.017}, got, 1e-9)
	_, ok := p.when(station.Applied, 10)
	require.False(t, ok)
}

func TestTheSequenceOfAnAnswer(t *testing.T) {
	t.Parallel()
	n, err := sequenceOf(base64.StdEncoding.EncodeToString([]byte("v1:set:0:42:ab")))
	require.NoError(t, err)
	require.Equal(t, uint64(42), n)
	_, err = sequenceOf("")
	require.Error(t, err)
}
