// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Runner sends sections to a reference and to other targets.
type Runner struct {
	clients  []*client // the reference is the first
	fixtures *Fixtures
	known    *known
	values   map[string][]*values // by section, one for each client
}

// NewRunner makes a runner. Close it when it is done.
func NewRunner(f *Fixtures, reference Target, others ...Target) *Runner {
	r := &Runner{fixtures: f, known: newKnown(Differences()), values: map[string][]*values{}}
	for _, target := range append([]Target{reference}, others...) {
		r.clients = append(r.clients, newClient(target, f))
	}
	return r
}

// Close closes the connections.
func (r *Runner) Close() {
	for _, c := range r.clients {
		c.close()
	}
}

// Run sends a section without its last steps to every target: to each in order, and to all
// at the same time unless the section needs an outside server for itself. For each target
// it reports what is wrong.
func (r *Runner) Run(ctx context.Context, section Section) map[string][]string {
	kept := make([]*values, len(r.clients))
	for i, c := range r.clients {
		kept[i] = newValues(c.target.Values)
		for name, value := range r.fixtures.values() {
			kept[i].constant(name, value)
		}
	}
	r.values[section.Name] = kept
	return r.send(ctx, section, false)
}

// Finish sends the last steps of a section that was run, and reports as Run does.
func (r *Runner) Finish(ctx context.Context, section Section) map[string][]string {
	return r.send(ctx, section, true)
}

func (r *Runner) send(ctx context.Context, section Section, last bool) map[string][]string {
	steps, kept := section.part(last), r.values[section.Name]
	runs := make([][]outcome, len(r.clients))
	var wait sync.WaitGroup
	for i, c := range r.clients {
		wait.Go(func() { runs[i] = sendAll(ctx, c, kept[i], steps) })
		if section.alone() {
			wait.Wait()
		}
	}
	wait.Wait()

	reports := map[string][]string{}
	for i, s := range steps {
		reference := runs[0][i]
		if problem := s.unexpected(reference); problem != "" {
			name := r.clients[0].target.Name
			reports[name] = append(reports[name], report(s, problem))
		}
		for j := 1; j < len(runs); j++ {
			name := r.clients[j].target.Name
			for _, problem := range r.judge(name, section, s, reference, runs[j][i]) {
				reports[name] = append(reports[name], report(s, problem))
			}
		}
	}
	return reports
}

// Unused are the entries of the table of differences that no target needed, among those for
// the targets of this run.
func (r *Runner) Unused() []string {
	names := map[string]bool{}
	for _, c := range r.clients[1:] {
		names[c.target.Name] = true
	}
	return r.known.unused(names)
}

// outcome is a step's answer, or why there is none.
type outcome struct {
	answer *Answer
	err    error
}

func sendAll(ctx context.Context, c *client, v *values, steps []Step) []outcome {
	out := make([]outcome, len(steps))
	for i, s := range steps {
		out[i].answer, out[i].err = ask(ctx, c, v, s)
	}
	return out
}

// repeatLimit bounds the wait for what a server does in the background.
const (
	repeatLimit    = 15 * time.Second
	repeatInterval = 50 * time.Millisecond
)

func ask(ctx context.Context, c *client, v *values, s Step) (*Answer, error) {
	if names := v.unknown(s); len(names) > 0 {
		return nil, fmt.Errorf("nothing was saved as %s", strings.Join(names, ", "))
	}
	end := time.Now().Add(repeatLimit)
	for {
		r, err := c.send(ctx, s, v)
		if err != nil {
			return nil, err
		}
		body, err := parse(r)
		if err != nil {
			return nil, err
		}
		// A server's error never counts as a state on the way to the wanted one.
		if r.status >= http.StatusInternalServerError || s.settled(body) {
			return keep(v, s, r, body)
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("the answer has not become %v within %s: %s", s.Repeat, repeatLimit, r.body)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(repeatInterval):
		}
	}
}

func (s Step) settled(body any) bool {
	for place, want := range s.Repeat {
		if got, _ := lookUp(body, place); got != want {
			return false
		}
	}
	return true
}

// keep saves the values that the step names, before the answer is normalised, so that they
// are named in this answer already.
func keep(v *values, s Step, r *response, body any) (*Answer, error) {
	for name, place := range s.Saves {
		value, ok := lookUp(body, place)
		if !ok || value == "" {
			return nil, fmt.Errorf("the answer (status %d) has nothing at %q to save as %q: %s", r.status, place, name, r.body)
		}
		v.set(name, value)
	}
	return normaliser{v}.answer(s, r)
}

// unexpected says what is wrong with the reference's own answer.
func (s Step) unexpected(o outcome) string {
	switch {
	case o.err != nil:
		return o.err.Error()
	case s.Status != 0 && o.answer.Status != s.Status:
		return fmt.Sprintf("the step expects status %d, the reference answers %d: %s", s.Status, o.answer.Status,
			show(o.answer.Body))
	case s.Status == 0 && o.answer.Status >= http.StatusMultipleChoices:
		return fmt.Sprintf("the step expects a success, the reference answers %d: %s", o.answer.Status, show(o.answer.Body))
	}
	return ""
}

func (r *Runner) judge(target string, section Section, s Step, want, got outcome) []string {
	if want.err != nil {
		return nil // reported with the reference
	}
	if got.err != nil {
		return []string{got.err.Error()}
	}
	var found []string
	for _, d := range compare(want.answer, got.answer) {
		if !r.known.accepts(target, section.Name, s.Name, d) {
			found = append(found, d.String())
		}
	}
	if found == nil {
		return nil
	}
	return []string{strings.Join(found, "\n    ")}
}

func report(s Step, problem string) string {
	name := s.Method + " " + s.Path
	if s.Name != name {
		name = s.Name + " (" + name + ")"
	}
	return name + ":\n    " + problem
}
