// SPDX-License-Identifier: MPL-2.0

package link

import (
	"sync"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Forwards bounds the forwarded requests of one secondary that are under way. Both ends
// count. The secondary must never fill the connection, because its heartbeats use it too.
// The primary need not believe the secondary.
type Forwards struct {
	mu           sync.Mutex
	calls, bytes int
}

// Enter admits a request, or is Unavailable when too many are under way. Leave is
// called once.
func (f *Forwards) Enter(payload int) (leave func(), err error) {
	if payload > replication.PayloadMax {
		return nil, replication.Errorf(replication.InvalidInput, "the request to forward has %d bytes, %d are allowed",
			payload, replication.PayloadMax)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls >= ForwardsMax || f.bytes+payload > ForwardBytesMax {
		return nil, replication.Errorf(replication.Unavailable, "%d forwarded requests of %d bytes are under way, as many "+
			"as a secondary may have: try again shortly", f.calls, f.bytes)
	}
	f.calls++
	f.bytes += payload
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls--
		f.bytes -= payload
	}, nil
}
