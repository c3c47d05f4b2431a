// SPDX-License-Identifier: MPL-2.0

package load

import (
	"fmt"
	"sync/atomic"
)

// Write is one attempt of a writer. Begun and Acknowledged are moments of one
// logical clock; Acknowledged is 0 when no answer came or it was an error.
type Write struct {
	Writer, Number      int
	Begun, Acknowledged uint64
}

// Hot says that the write went to the writer's hot key, which each such write
// overwrites; others have a key of their own.
func (w Write) Hot() bool { return w.Number%2 == 0 }

type clock struct{ now atomic.Uint64 }

func (c *clock) tick() uint64 { return c.now.Add(1) }

// Content is what a copy holds: for each writer the last value of the hot key
// (-1 for none) and the numbers of the other writes.
type Content struct {
	Hot    map[int]int
	Single map[int]map[int]bool
}

func (c Content) has(w Write) bool {
	if w.Hot() {
		last, ok := c.Hot[w.Writer]
		return ok && last >= w.Number
	}
	return c.Single[w.Writer][w.Number]
}

// Check says why the content cannot be the original at one moment, or nil.
// Every write acknowledged up to the moment mustHave has to be there.
func Check(journal []Write, content Content, mustHave uint64) error {
	// The latest beginning of anything that is there. What was acknowledged before it is
	// older and must be there too.
	var latest uint64
	for _, w := range journal {
		if content.evidence(w) && w.Begun > latest {
			latest = w.Begun
		}
	}
	for _, w := range journal {
		if w.Acknowledged == 0 || content.has(w) {
			continue
		}
		switch {
		case w.Acknowledged <= mustHave:
			return fmt.Errorf("write %d of writer %d was acknowledged and replicated, and is missing", w.Number, w.Writer)
		case w.Acknowledged < latest:
			return fmt.Errorf("write %d of writer %d (acknowledged at %d) is missing although a later write (begun at %d) is "+
				"there",
				w.Number, w.Writer, w.Acknowledged, latest)
		}
	}
	return nil
}

// evidence says whether the content can only come from this write.
func (c Content) evidence(w Write) bool {
	if w.Hot() {
		last, ok := c.Hot[w.Writer]
		return ok && last == w.Number
	}
	return c.has(w)
}
