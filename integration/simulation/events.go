// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// eventsMax bounds the log of a run; the oldest go first.
const eventsMax = 4000

// events is the log of a run. A line is made into text only when it is read, because most
// runs end well and nobody reads it.
type events struct {
	begun time.Time

	mu    sync.Mutex
	lines []event
	first int
}

type event struct {
	at     time.Duration
	who    string
	format string
	args   []any
}

func (e *events) add(who, format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	line := event{time.Since(e.begun), who, format, args}
	if len(e.lines) < eventsMax {
		e.lines = append(e.lines, line)
		return
	}
	e.lines[e.first] = line
	e.first = (e.first + 1) % eventsMax
}

// WriteTo prints the log.
func (e *events) WriteTo(w io.Writer) (int64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var total int64
	for i := range e.lines {
		l := e.lines[(e.first+i)%len(e.lines)]
		n, err := fmt.Fprintf(w, "%12.6fs %-4s %s\n", l.at.Seconds(), l.who, fmt.Sprintf(l.format, l.args...))
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
