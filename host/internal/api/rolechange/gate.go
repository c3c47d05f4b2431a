// SPDX-License-Identifier: MPL-2.0

package rolechange

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/host/internal/api/answer"
	"github.com/vault-replication/vault-replication/shared/pause"
)

// Own answers a request from what the node knows by itself, without the core. OK is false
// for a request that it has no answer to.
type Own func(r *http.Request) (status int, body any, ok bool)

// Node is what a gate asks of its node.
type Node interface {
	// Active says whether the node serves by itself. It must not block.
	Active() bool
	// PassesOn says whether Vault can answer a request on this standby: it knows an active
	// node, or it is sealed and answers so itself. It may wait for the core.
	PassesOn() bool
	// Free says whether the core takes a request now. It does not while it waits for those under way, to give up the
	// leadership or to seal: with a storage that hangs that takes as long as their deadlines. It must not block.
	Free() bool
	// Remember is called before a change, while all still works, and before the node answers for a core that is not
	// free.
	Remember()
}

// Limits bound a change and what waits for it. The zero value of a field has the default.
type Limits struct {
	// Hold is how long a request waits for the end of a change.
	Hold time.Duration
	// HoldStandby is how long a request waits on a standby that knows no active node.
	HoldStandby time.Duration
	// Waiting is how many requests wait at the same time.
	Waiting int
	// Patience is how long a change waits for requests that are no streams.
	Patience time.Duration
	// CutStream and Cut are how long the connection of a request outlives its context.
	// After Cut once more nobody waits for the request.
	CutStream, Cut time.Duration
	// Lead is how long after a change requests wait for an active node.
	Lead time.Duration
}

func (l *Limits) complete() {
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{
		{&l.Hold, 20 * time.Second}, {&l.HoldStandby, 10 * time.Second},
		{&l.Patience, 5 * time.Second}, {&l.Lead, 30 * time.Second},
		{&l.CutStream, 50 * time.Millisecond}, {&l.Cut, 250 * time.Millisecond},
	} {
		*d.value = cmp.Or(*d.value, d.usual)
	}
	l.Waiting = cmp.Or(l.Waiting, 4096)
}

// poll is how often a gate looks whether its node serves again.
const poll = 10 * time.Millisecond

// Gate stands in front of all listeners of one node.
type Gate struct {
	node   Node
	limits Limits

	mu sync.Mutex
	// closed is a channel during a change and nil otherwise. It is closed when requests are
	// let in again.
	closed   chan struct{}
	underway map[*request]struct{}
	waiting  int
	// idle has a value when a request has ended since somebody looked.
	idle chan struct{}
}

// New makes a gate that is open.
func New(node Node, limits Limits) *Gate {
	limits.complete()
	return &Gate{node: node, limits: limits, underway: map[*request]struct{}{}, idle: make(chan struct{}, 1)}
}

// Changing says whether a change is under way.
func (g *Gate) Changing() bool { return g.now() != nil }

func (g *Gate) now() chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// Listener is one way into the node.
type Listener struct {
	// Own may be nil.
	Own Own
	// Passed is set for the cluster port, where standbys pass requests on. Such a request
	// does not wait: nothing tells that its client has gone, and it could be carried out a
	// second time.
	Passed bool
	// Aside are exact paths, or prefixes that end in a slash, which need no core.
	Aside []string
}

// Wrap puts the gate in front of a handler.
func (g *Gate) Wrap(next http.Handler, l Listener) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if matches(l.Aside, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		q, ctx, ok := g.enter(w, r, l)
		if !ok {
			return
		}
		defer g.leave(q)
		r = r.WithContext(ctx)
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &body{ReadCloser: r.Body, gate: g, request: q}
			w = &tooLate{ResponseWriter: w, request: q}
		}
		if q.standby {
			g.passOn(w, r, next, l)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// enter waits until a request may go on, or answers it.
func (g *Gate) enter(w http.ResponseWriter, r *http.Request, l Listener) (*request, context.Context, bool) {
	if isStatus(r.URL.Path) && !g.Changing() && !g.node.Free() {
		g.node.Remember()
		if g.answered(w, r, l) {
			return nil, nil, false
		}
	}
	active := g.node.Active()
	// During a change the node is not asked, because it would wait for the core.
	leaderless := !active && !g.Changing() && !onThisNode(r.URL.Path) && !g.node.PassesOn()
	if !leaderless {
		if q, ctx := g.admit(r.Context(), of(w, r, !active)); q != nil {
			return q, ctx, true
		}
	}
	if g.answered(w, r, l) {
		return nil, nil, false
	}
	switch {
	case l.Passed:
		refuse(w, changingText)
		return nil, nil, false
	case r.URL.Path == sealPath && g.Changing():
		refuse(w, sealText)
		return nil, nil, false
	}
	limit, text := g.limits.Hold, changingText
	if leaderless {
		limit, text = g.limits.HoldStandby, leaderlessText
	}
	if err := g.await(r.Context(), limit, leaderless); err != nil {
		refuse(w, text)
		return nil, nil, false
	}
	return g.enterAgain(w, r, text)
}

// enterAgain lets in a request that has waited. If another change has begun, the request
// does not wait again.
func (g *Gate) enterAgain(w http.ResponseWriter, r *http.Request, text string) (*request, context.Context, bool) {
	q, ctx := g.admit(r.Context(), of(w, r, !g.node.Active()))
	if q == nil {
		refuse(w, text)
		return nil, nil, false
	}
	return q, ctx, true
}

var errWaited = errors.New("waited for too long")

// await returns when no change is under way and, if asked, an active node is known.
func (g *Gate) await(ctx context.Context, limit time.Duration, leader bool) error {
	g.mu.Lock()
	if g.waiting >= g.limits.Waiting {
		g.mu.Unlock()
		return errWaited
	}
	g.waiting++
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.waiting--
		g.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errWaited)
	defer cancel()
	for {
		closed := g.now()
		if closed == nil && (!leader || g.node.Active() || g.node.PassesOn()) {
			return nil
		}
		if closed == nil {
			if pause.For(ctx, poll) != nil {
				return context.Cause(ctx)
			}
			continue
		}
		select {
		case <-closed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (g *Gate) answered(w http.ResponseWriter, r *http.Request, l Listener) bool {
	if l.Own == nil {
		return false
	}
	status, body, ok := l.Own(r)
	if !ok {
		return false
	}
	if r.Method == http.MethodHead {
		body = nil
	}
	w.Header().Del("Location") // of what Vault would have answered
	answer.JSON(w, status, body)
	return true
}

const (
	sealPath       = "/v1/sys/seal"
	changingText   = "the replication role of this cluster is changing: try again in a moment"
	leaderlessText = "this node is a standby and its cluster has no active node at the moment: try again, or look at " +
		"the other nodes if this lasts"
	sealText = "a change of the replication role is under way, and the node would be unsealed by it: seal it " +
		"again in a moment"
)

func refuse(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", "1")
	answer.Refuse(w, http.StatusServiceUnavailable, text)
}
