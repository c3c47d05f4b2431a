// SPDX-License-Identifier: MPL-2.0

package load

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
	"golang.org/x/sync/errgroup"
)

// fillers is how many clients write many keys or one.
const fillers = 16

// perFolder is how many of many keys lie in one folder.
const perFolder = 1000

// Fill writes keys with 256 times a letter each below the mount that [Prepare] makes, from
// several clients, in folders of a thousand.
func Fill(ctx context.Context, client *api.Client, keys int, letter string) error {
	var next atomic.Int64
	value := strings.Repeat(letter, 256)
	g, ctx := errgroup.WithContext(ctx)
	for range fillers {
		g.Go(func() error {
			for {
				n := next.Add(1) - 1
				if n >= int64(keys) {
					return nil
				}
				path := fmt.Sprintf("%s/many/%d/%d", Mount, n/perFolder, n)
				if _, err := client.Logical().WriteWithContext(ctx, path, map[string]any{"value": value}); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// Hot is one key that is written all the time.
type Hot struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	begun  time.Time
	count  atomic.Int64
	mu     sync.Mutex
	err    error
}

// StartHot writes one key below the mount that [Prepare] makes, rate times a second or as
// often as the server can, until it is stopped or a write fails.
func StartHot(ctx context.Context, client *api.Client, rate int) *Hot {
	ctx, cancel := context.WithCancel(ctx)
	h := &Hot{cancel: cancel, begun: time.Now()}
	due := make(chan struct{})
	h.wg.Go(func() {
		defer close(due)
		h.beat(ctx, due, rate)
	})
	for range fillers {
		h.wg.Go(func() {
			for range due {
				n := h.count.Load()
				_, err := client.Logical().WriteWithContext(ctx, Mount+"/hot-key", map[string]any{"n": fmt.Sprint(n)})
				if err != nil {
					h.fail(ctx, err)
					return
				}
				h.count.Add(1)
			}
		})
	}
	return h
}

// beat says when a write is due. It makes up for a delay of a tenth of a second or less,
// because all share two processors. A server that is slower gets no more writes later: the
// rate is what is asked for in each second, not in all.
func (h *Hot) beat(ctx context.Context, due chan<- struct{}, rate int) {
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	owed, last := 0.0, time.Now()
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return
		case now = <-ticker.C:
		}
		owed = min(owed+now.Sub(last).Seconds()*float64(rate), float64(rate)/10)
		last = now
		for ; owed >= 1; owed-- {
			select {
			case <-ctx.Done():
				return
			case due <- struct{}{}:
			}
		}
	}
}

func (h *Hot) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
	h.cancel()
}

// Written is how often the key was written so far, and how often a second.
func (h *Hot) Written() (count int64, rate float64) {
	count = h.count.Load()
	return count, float64(count) / time.Since(h.begun).Seconds()
}

// Stop ends the writes, and says why they ended before.
func (h *Hot) Stop() error {
	h.cancel()
	h.wg.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}
