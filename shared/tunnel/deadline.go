// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"sync"
	"time"
)

// deadline wakes the waiters of a condition when it passes. All methods are
// called with the condition's lock held.
type deadline struct {
	cond    *sync.Cond
	timer   *time.Timer
	set     uint64 // tells a timer that fires late that it was replaced
	expired bool
}

func (d *deadline) reset(t time.Time) {
	d.stop()
	d.expired = false
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.expired = true
		d.cond.Broadcast()
		return
	}
	set := d.set
	d.timer = time.AfterFunc(wait, func() {
		d.cond.L.Lock()
		defer d.cond.L.Unlock()
		if d.set == set {
			d.expired = true
			d.cond.Broadcast()
		}
	})
}

func (d *deadline) stop() {
	d.set++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
