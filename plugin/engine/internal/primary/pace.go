// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// HelloInterval is the least average interval between the calls of one secondary that
	// begin something. A Hello costs up to three writes of this cluster's storage, and a
	// Bootstrap reads the keys.
	HelloInterval = time.Second
	// HelloBurst is how many of them may come at once.
	HelloBurst = 3
	// NodeInterval is the least interval of writes of one secondary's addresses.
	NodeInterval = time.Minute
)

// pace slows down what each secondary begins.
type pace struct {
	mu   sync.Mutex
	byID map[string]*rate.Limiter
}

// wait returns when a secondary may begin again. It fails if that would take too long.
func (p *pace) wait(ctx context.Context, id string) error {
	p.mu.Lock()
	l := p.byID[id]
	if l == nil {
		l = rate.NewLimiter(rate.Every(HelloInterval), HelloBurst)
		p.byID[id] = l
	}
	p.mu.Unlock()
	if err := l.Wait(ctx); err != nil {
		return replication.Errorf(replication.Unavailable, "the secondary begins more sessions than one in %s: try again "+
			"later", HelloInterval)
	}
	return nil
}

func (p *pace) forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byID, id)
}
