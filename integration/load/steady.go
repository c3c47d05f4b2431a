// SPDX-License-Identifier: MPL-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
)

// patience is how long a steady writer waits for an answer. pace is the time between its
// writes. The test is about failures of a secondary, not about how much it can take.
const (
	patience = 5 * time.Second
	pace     = 20 * time.Millisecond
)

// Steady writers go on after failures. Each sends the same value again, to the next node,
// until a node has acknowledged it, and then a new one.
type Steady struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	counts []atomic.Int64
	failed atomic.Int64
}

// StartSteady begins writing from count writers to the nodes of these clients, below
// the mount that [Prepare] makes.
func StartSteady(ctx context.Context, nodes []*api.Client, count int) *Steady {
	ctx, cancel := context.WithCancel(ctx)
	s := &Steady{cancel: cancel, counts: make([]atomic.Int64, count)}
	for _, client := range nodes {
		client.SetClientTimeout(patience)
	}
	for w := range count {
		s.wg.Go(func() { s.run(ctx, nodes, w) })
	}
	return s
}

func (s *Steady) run(ctx context.Context, nodes []*api.Client, writer int) {
	node := writer
	for ctx.Err() == nil {
		n := s.counts[writer].Load()
		_, err := nodes[node%len(nodes)].Logical().WriteWithContext(ctx, steadyPath(writer, n),
			map[string]any{"n": strconv.FormatInt(n, 10)})
		if err != nil {
			s.failed.Add(1)
			node++
		} else {
			s.counts[writer].Add(1)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pace):
		}
	}
}

func steadyPath(writer int, n int64) string { return fmt.Sprintf("%s/steady/%d/%d", Mount, writer, n) }

// Acknowledged is how many writes were acknowledged so far, Failed how many attempts
// were not.
func (s *Steady) Acknowledged() (count int64) {
	for w := range s.counts {
		count += s.counts[w].Load()
	}
	return count
}

// Failed is how many attempts were not acknowledged so far.
func (s *Steady) Failed() int64 { return s.failed.Load() }

// Stop ends the writers.
func (s *Steady) Stop() {
	s.cancel()
	s.wg.Wait()
}

// Missing compares what a Vault holds with what was acknowledged.
func (s *Steady) Missing(ctx context.Context, client *api.Client) error {
	var missing []error
	for w := range s.counts {
		names, err := list(ctx, client, fmt.Sprintf("%s/steady/%d", Mount, w))
		if err != nil {
			return err
		}
		held := map[int]bool{}
		for _, n := range names {
			held[n] = true
		}
		for n := range s.counts[w].Load() {
			if !held[int(n)] {
				missing = append(missing, fmt.Errorf("%s was acknowledged and is not there", steadyPath(w, n)))
			}
		}
	}
	return errors.Join(missing...)
}
