// SPDX-License-Identifier: MPL-2.0

package main

import (
	"maps"
	"slices"
	"time"

	"github.com/vault-replication/vault-replication/integration/bench/figures"
	"github.com/vault-replication/vault-replication/integration/procfs"
)

// watch notes the memory of servers with their plugins over time.
type watch struct {
	started time.Time
	pids    map[string]int
	lines   map[string][]figures.Point
	over    chan struct{}
	done    chan struct{}
}

const watchEvery = 250 * time.Millisecond

func watchMemory(pids map[string]int) *watch {
	w := &watch{started: time.Now(), pids: pids, lines: map[string][]figures.Point{}, over: make(chan struct{}),
		done: make(chan struct{})}
	go w.run()
	return w
}

func (w *watch) run() {
	defer close(w.done)
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		at := time.Since(w.started).Seconds()
		for name, pid := range w.pids {
			// A process that has ended has no memory; that it has ended is noticed elsewhere.
			if bytes, err := procfs.TreeRSS(pid); err == nil {
				w.lines[name] = append(w.lines[name], figures.Point{at, float64(bytes)})
			}
		}
		select {
		case <-w.over:
			return
		case <-ticker.C:
		}
	}
}

// stop returns a line for each server, in the order of their names.
func (w *watch) stop() []figures.Line {
	close(w.over)
	<-w.done
	var all []figures.Line
	for _, name := range slices.Sorted(maps.Keys(w.lines)) {
		all = append(all, figures.Line{Name: name, Points: w.lines[name]})
	}
	return all
}

// most is the highest point of a line.
func most(l figures.Line) (highest float64) {
	for _, p := range l.Points {
		highest = max(highest, p[1])
	}
	return highest
}
