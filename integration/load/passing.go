// SPDX-License-Identifier: MPL-2.0

package load

import "sync"

// Passing is a mount that comes and goes while the clients use it. A request that
// saw it there from its beginning to its end must not fail.
type Passing struct {
	mu    sync.Mutex
	mount string
	times uint64
}

// Come says that a mount is there, on both clusters.
func (p *Passing) Come(mount string) { p.set(mount) }

// Go says that the mount is about to go.
func (p *Passing) Go() { p.set("") }

func (p *Passing) set(mount string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mount = mount
	p.times++
}

// Now is the mount, if there is one, and the moment, to be compared with a later
// one.
func (p *Passing) Now() (mount string, moment uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mount, p.times
}

// Since says whether the mount came or went since the moment.
func (p *Passing) Since(moment uint64) bool {
	_, now := p.Now()
	return now != moment
}
