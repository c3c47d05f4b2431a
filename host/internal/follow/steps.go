// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// subject names what a step is about: one mount of a table.
func subject(kind, table, uuid string) string { return kind + " " + table + " " + uuid }

// ofMount splits a subject.
func ofMount(about string) (kind, table, uuid string, ok bool) {
	parts := strings.Split(about, " ")
	if len(parts) != 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// attempts has the steps of a follower: those under way, those that have failed and are repeated, and what the
// secondary lacks because of them.
type attempts struct {
	logger hclog.Logger
	o      Options
	// hold keeps the core active while a step is repeated.
	hold func(context.Context) (release func(), err error)
	// again has the failed steps, by subject.
	again map[string]func(context.Context)
	retry retry

	mu sync.Mutex
	// duty lasts as long as the node is active.
	duty  context.Context
	lacks map[string]string
	// steps has the steps under way, by subject.
	steps map[string]chan struct{}
}

// try does a step within a bound. After a failure the secondary lacks it, until a step with the same subject succeeds.
func (a *attempts) try(ctx context.Context, wait time.Duration, what, about string,
	step func(context.Context) error) bool {
	if err := a.bounded(ctx, wait, about, step); err != nil {
		if ctx.Err() == nil {
			a.lack(about, fmt.Sprintf("%s could not be taken over: %v; it is tried again", what, err))
		}
		return false
	}
	a.mend(about)
	return true
}

// persist does a step, and repeats it until it succeeds.
func (a *attempts) persist(ctx context.Context, what string, step func(context.Context) error) {
	a.done(a.try(ctx, a.o.StepWait, what, what, step), what, func(ctx context.Context) { a.persist(ctx, what, step) })
}

// bounded runs a step and waits for it for some time. A step that ignores its context, in a plugin that hangs, is then
// left alone. Until it ends no other step with the same subject begins.
func (a *attempts) bounded(ctx context.Context, wait time.Duration, about string,
	step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := a.awaitFormer(ctx, about); err != nil {
		return err
	}
	done, ended := make(chan error, 1), make(chan struct{})
	a.mu.Lock()
	a.steps[about] = ended
	a.mu.Unlock()
	go func() {
		err := step(ctx)
		a.mu.Lock()
		delete(a.steps, about)
		a.mu.Unlock()
		close(ended)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// The step may have ended at the same moment, or may end soon because its context has ended.
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return fmt.Errorf("it took longer than %s", wait)
	}
}

// awaitFormer waits for an earlier step with the same subject that was left alone: only shortly, because that step has
// had its time.
func (a *attempts) awaitFormer(ctx context.Context, about string) error {
	a.mu.Lock()
	former := a.steps[about]
	a.mu.Unlock()
	if former == nil {
		return nil
	}
	select {
	case <-former:
		return nil
	case <-ctx.Done():
	case <-time.After(grace):
	}
	return errors.New("the last attempt has not ended yet")
}

// grace is how long a step may take to notice that its time is up, and how long the next
// step waits for it.
const grace = 200 * time.Millisecond

func (a *attempts) lack(about, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lacks[about] != text {
		a.logger.Warn("this secondary lacks something of the primary", "what", text)
	}
	a.lacks[about] = text
}

func (a *attempts) mend(about string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.lacks, about)
}
