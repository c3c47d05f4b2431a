// SPDX-License-Identifier: MPL-2.0

package procfs

import "time"

// Sampler remembers the most memory that process trees had.
type Sampler struct {
	roots []int
	peaks []uint64
	stop  chan struct{}
	done  chan struct{}
}

// StartSampler looks at the trees several times a second until Stop.
func StartSampler(roots ...int) *Sampler {
	s := &Sampler{roots: roots, peaks: make([]uint64, len(roots)), stop: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *Sampler) run() {
	defer close(s.done)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		for i, root := range s.roots {
			// A process that ended has no memory; the test notices its end elsewhere.
			if rss, err := TreeRSS(root); err == nil {
				s.peaks[i] = max(s.peaks[i], rss)
			}
		}
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
	}
}

// Stop returns the peaks in the order of the roots, in bytes.
func (s *Sampler) Stop() []uint64 {
	close(s.stop)
	<-s.done
	return s.peaks
}
