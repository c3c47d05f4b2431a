// SPDX-License-Identifier: MPL-2.0

package cable

import (
	"context"
	"math"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Link is what a long way between two clusters is like. The zero value is a way without delay.
//
// It is a model above TCP: the two ends of the cable are connections of one machine. Loss is what it
// does to a stream: a lost segment holds up what is behind it for one round trip, and a connection is
// no faster than the segment size over the round trip times 1.22 over the square root of the loss,
// which is what congestion control leaves of it.
type Link struct {
	// Delay is of one way, half a round trip.
	Delay time.Duration
	// BytesPerSecond is what all connections of one way share. 0 is no bound.
	BytesPerSecond float64
	// Loss is the share of segments that are lost, below 1.
	Loss float64
}

const (
	segment = 1448
	// window is how much a connection has under way unacknowledged, the most that Linux gives by
	// default. Half of it is in the cable, the other half waits for acknowledgements on their way back.
	window = 4 << 20
)

// roundTrip is how long an answer takes.
func (l Link) roundTrip() time.Duration { return 2 * l.Delay }

// mathis is the bytes a second that congestion control leaves to a connection, 0 for no bound.
func (l Link) mathis() float64 {
	if l.Loss <= 0 || l.Delay <= 0 {
		return 0
	}
	return segment / l.roundTrip().Seconds() * 1.22 / math.Sqrt(l.Loss)
}

// Stretch makes the cable like a link for what is sent from now on.
func (c *Cable) Stretch(l Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
}

// shake takes the time of a handshake.
func (c *Cable) shake() {
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	time.Sleep(l.roundTrip())
}

// parcel is what was read at once.
type parcel struct {
	data []byte
	due  time.Time
}

// carrier takes what goes one way of one connection over the link, in order.
type carrier struct {
	cable *Cable
	way   Way
	to    net.Conn

	queue chan parcel // nil until there was a link
	done  chan struct{}
	room  *semaphore.Weighted
	err   atomic.Pointer[error]
	free  time.Time // when congestion control lets the next parcel go
	lost  float64   // segments that are lost and not counted yet
}

// write sends something now or later. The error may be that of something sent before.
func (k *carrier) write(data []byte) error {
	due, ok := k.departs(len(data))
	if !ok && k.queue == nil {
		_, err := k.to.Write(data)
		return err
	}
	if k.queue == nil {
		k.queue, k.done = make(chan parcel, window/segment), make(chan struct{})
		k.room = semaphore.NewWeighted(window / 2)
		k.cable.wg.Go(k.deliver)
	}
	// Only a full window waits, and its end is that of deliver, which no context ends.
	if err := k.room.Acquire(context.Background(), int64(len(data))); err != nil {
		return err
	}
	k.queue <- parcel{append([]byte(nil), data...), due}
	if err := k.err.Load(); err != nil {
		return *err
	}
	return nil
}

// departs says when a parcel arrives, and whether there is a link at all.
func (k *carrier) departs(size int) (time.Time, bool) {
	k.cable.mu.Lock()
	defer k.cable.mu.Unlock()
	l := k.cable.link
	now := time.Now()
	if l == (Link{}) {
		return now, false
	}
	at := now
	if l.BytesPerSecond > 0 {
		free := &k.cable.free[k.way]
		at = later(at, *free).Add(take(size, l.BytesPerSecond))
		*free = at
	}
	if most := l.mathis(); most > 0 {
		k.free = later(now, k.free).Add(take(size, most))
		at = later(at, k.free)
	}
	if k.lost += l.Loss * float64(size) / segment; k.lost >= 1 {
		k.lost -= math.Floor(k.lost)
		at = at.Add(l.roundTrip())
	}
	return at.Add(l.Delay), true
}

func take(size int, perSecond float64) time.Duration {
	return time.Duration(float64(size) / perSecond * float64(time.Second))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// deliver writes what is due until the queue is closed.
func (k *carrier) deliver() {
	defer close(k.done)
	for p := range k.queue {
		if k.err.Load() == nil {
			time.Sleep(time.Until(p.due))
			if _, err := k.to.Write(p.data); err != nil {
				k.err.Store(&err)
			}
		}
		k.room.Release(int64(len(p.data)))
	}
}

// close waits until everything has arrived.
func (k *carrier) close() {
	if k.queue != nil {
		close(k.queue)
		<-k.done
	}
}
