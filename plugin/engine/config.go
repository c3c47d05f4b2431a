// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/primary"
	"github.com/vault-replication/vault-replication/plugin/engine/internal/secondary"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Config configures an engine. Only Mode is required; elsewhere zero means the default.
type Config struct {
	// Mode is the mode of replication that the engine does.
	Mode replication.Mode
	// HeartbeatEvery is the interval of heartbeats; 1 s.
	HeartbeatEvery time.Duration
	// LossAfter is the silence after which either end gives a link up; 10 s.
	LossAfter time.Duration
	// WindowBytes bounds what a primary sends to one secondary ahead of its
	// acknowledgements; 16 MiB. A larger single frame passes alone.
	WindowBytes int
	// WindowFrames bounds the number of small frames ahead of its acknowledgements, see
	// primary.Config; 2.
	WindowFrames int
	// RetryMin and RetryMax bound the delay between attempts to connect; 500 ms and 5 s. A
	// link that works again is used within seconds, and an attempt costs less than a
	// heartbeat.
	RetryMin, RetryMax time.Duration
}

func orDefault[T ~int | ~int64](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

func (c Config) primary() primary.Config {
	p := primary.Config{
		LossAfter:    orDefault(c.LossAfter, 10*time.Second),
		WindowBytes:  orDefault(c.WindowBytes, 16<<20),
		WindowFrames: orDefault(c.WindowFrames, 2),
		AckInterval:  200 * time.Millisecond,
		KeepNodes:    c.Mode.StandsIn(),
	}
	if !c.Mode.ServesClients() {
		// No client waits for a DR secondary. At a performance secondary a client waits until its forwarded write has arrived
		// there.
		p.GatherRate, p.GatherMax = 1<<20, 20*time.Millisecond
	}
	return p
}

func (c Config) secondary() secondary.Config {
	return secondary.Config{
		HeartbeatEvery: orDefault(c.HeartbeatEvery, time.Second),
		LossAfter:      orDefault(c.LossAfter, 10*time.Second),
		DialTimeout:    10 * time.Second,
		DialPatience:   2 * time.Second,
		CallTimeout:    time.Minute,
		RetryMin:       orDefault(c.RetryMin, 500*time.Millisecond),
		RetryMax:       orDefault(c.RetryMax, 5*time.Second),
		RefusedRetry:   30 * time.Second,
		CopyRetryMin:   30 * time.Second,
		CopyRetryMax:   10 * time.Minute,
		FetchEvery:     10 * time.Second,
	}
}
