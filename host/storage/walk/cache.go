// SPDX-License-Identifier: MPL-2.0

package walk

import (
	"sync"
	"time"
)

// cache keeps up to a number of values, each for some time, for the next call that needs it.
type cache[K comparable, V any] struct {
	idle time.Duration
	most int // 0 for no bound

	mu   sync.Mutex
	kept map[K]*cached[V]
}

type cached[V any] struct {
	value V
	timer *time.Timer
	since time.Time
}

// take takes a value out.
func (c *cache[K, V]) take(k K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.kept[k]
	if e == nil {
		return v, false
	}
	c.drop(k)
	return e.value, true
}

// put keeps a value. If there are too many, it drops the oldest.
func (c *cache[K, V]) put(k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(k)
	if c.most > 0 && len(c.kept) >= c.most {
		var oldest K
		for o, e := range c.kept {
			if first := c.kept[oldest]; first == nil || e.since.Before(first.since) {
				oldest = o
			}
		}
		c.drop(oldest)
	}
	if c.kept == nil {
		c.kept = map[K]*cached[V]{}
	}
	e := &cached[V]{value: v, since: time.Now()}
	e.timer = time.AfterFunc(c.idle, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.kept[k] == e {
			delete(c.kept, k)
		}
	})
	c.kept[k] = e
}

// drop forgets a value. The caller holds mu.
func (c *cache[K, V]) drop(k K) {
	if e := c.kept[k]; e != nil {
		e.timer.Stop()
		delete(c.kept, k)
	}
}

// forget forgets the values of some keys.
func (c *cache[K, V]) forget(which func(K) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.kept {
		if which(k) {
			c.drop(k)
		}
	}
}

// close forgets all.
func (c *cache[K, V]) close() { c.forget(func(K) bool { return true }) }
