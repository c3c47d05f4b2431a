// SPDX-License-Identifier: MPL-2.0

package lookout

import (
	"cmp"
	"context"
	"time"

	"github.com/vault-replication/vault-replication/shared/pause"
)

// Sight is what one look at a place has found.
type Sight int

// The sights of a place.
const (
	// Nothing answers, or the server that answers cannot be the primary now: it is sealed, or of another cluster.
	Nothing Sight = iota
	// Somebody answers without saying what it is, as a standby does on its cluster port.
	Somebody
	// Former says that it is not the primary any more.
	Former
	// Primary says that it is the primary of the set.
	Primary
)

// Place is somewhere to look.
type Place struct {
	// Name is for the operator, such as an address.
	Name string
	// Own says that the place belongs to the primary that this cluster follows; others
	// belong to clusters that may have taken its place.
	Own bool
	// Look looks once. It ends with the context.
	Look func(ctx context.Context) Sight
}

// The times of a search.
const (
	// Quiet is how long a primary must show no sign before it counts as gone. A demoted primary has the same time to end.
	Quiet = 3 * time.Second
	// Patience is how long a server that does not say what it is may take to become the
	// primary. A node that stepped down leads again after ten seconds.
	Patience = 15 * time.Second
	// every is the pause between two looks at one place.
	every = 200 * time.Millisecond
)

// Verdict is the result of a search.
type Verdict int

// The verdicts of a search.
const (
	// Gone says that there is no primary beside this cluster, as far as it can be seen.
	Gone Verdict = iota
	// Unknown says that a server is there and does not say what it is.
	Unknown
	// Alive says that there is a primary.
	Alive
)

// Search is what is known before the first look.
type Search struct {
	Places []Place
	// Ended is when the last session with the primary ended. It is zero if a session is live or none has ended.
	Ended time.Time
	// Hurry waits only Quiet for a server that does not say what it is.
	Hurry bool
}

// Find looks at all places until it has a verdict. where is the place that decided. It takes at most Patience, and at
// most Quiet if nothing answers anywhere.
func (s Search) Find(ctx context.Context) (v Verdict, where string, err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	looks := make(chan seen)
	for i, p := range s.Places {
		go watch(ctx, i, p, looks)
	}
	w := newState(s, time.Now())
	for {
		now := time.Now()
		v, where, again := w.decide(now)
		if again <= 0 {
			return v, where, nil
		}
		select {
		case one := <-looks:
			w.note(one, time.Now())
		case <-time.After(again):
		case <-ctx.Done():
			return Unknown, "", ctx.Err()
		}
	}
}

// seen is one look at a place.
type seen struct {
	place int
	sight Sight
}

func watch(ctx context.Context, i int, p Place, out chan<- seen) {
	for {
		sight := p.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		select {
		case out <- seen{i, sight}:
		case <-ctx.Done():
			return
		}
		if pause.For(ctx, every) != nil {
			return
		}
	}
}

// state is a search under way: the newest sight of each place.
type state struct {
	Search
	begun time.Time
	// heard is when a sign of life was seen last.
	heard  time.Time
	sights []Sight
	known  []bool
}

func newState(s Search, now time.Time) *state {
	w := &state{Search: s, begun: now, heard: s.Ended, sights: make([]Sight, len(s.Places)),
		known: make([]bool, len(s.Places))}
	if w.heard.IsZero() {
		w.heard = now
	}
	return w
}

func (w *state) note(one seen, now time.Time) {
	w.sights[one.place], w.known[one.place] = one.sight, true
	if one.sight == Primary || one.sight == Somebody && w.Places[one.place].Own {
		w.heard = now
	}
}

// decide returns the verdict, or how long to look on before it decides again.
func (w *state) decide(now time.Time) (v Verdict, where string, again time.Duration) {
	asked, former := true, false
	primary, somebody := "", ""
	for i, p := range w.Places {
		asked = asked && w.known[i]
		switch {
		case w.sights[i] == Primary:
			// The operator knows the primary by the first place.
			primary = cmp.Or(primary, p.Name)
		case w.sights[i] == Somebody && p.Own:
			somebody = p.Name
		case w.sights[i] == Former && p.Own:
			former = true
		}
	}
	quiet := w.begun.Add(Quiet).Sub(now)
	switch {
	case primary != "":
		return Alive, primary, quiet
	case len(w.Places) == 0:
		return Gone, "", 0
	case former:
		// Find does not wait longer for a place that has not answered by then.
		if asked {
			return Gone, "", 0
		}
		return Gone, "", quiet
	case somebody != "":
		patience := w.begun.Add(Patience).Sub(now)
		if w.Hurry {
			patience = quiet
		}
		return Unknown, somebody, patience
	case asked:
		return Gone, "", min(w.heard.Add(Quiet).Sub(now), w.begun.Add(Patience).Sub(now))
	default:
		return Gone, "", max(quiet, min(w.heard.Add(Quiet).Sub(now), w.begun.Add(Patience).Sub(now)))
	}
}
