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

// ofMount takes it apart.
func ofMount(about string) (kind, table, uuid string, ok bool) {
	parts := strings.Split(about, " ")
	if len(parts) != 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// attempts are the steps of a follower: what goes on, what has failed and is done again,
// and what the secondary lacks for that.
type attempts struct {
	logger hclog.Logger
	o      Options
	// hold keeps the core as it is while something is done again.
	hold func(context.Context) (release func(), err error)
	// again is what has failed and is to be done once more, by what it is about.
	again map[string]func(context.Context)
	retry retry

	mu sync.Mutex
	// duty lasts as long as the node is active.
	duty  context.Context
	lacks map[string]string
	// steps are those that go on, by what they are about.
	steps map[string]chan struct{}
}

// try does a step within a bound. A failure is what the secondary lacks until a
// step about the same succeeds.
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

// persist does a step, and again until it succeeds.
func (a *attempts) persist(ctx context.Context, what string, step func(context.Context) error) {
	a.done(a.try(ctx, a.o.StepWait, what, what, step), what, func(ctx context.Context) { a.persist(ctx, what, step) })
}

// bounded runs a step and waits for it for a while. A step that does not heed
// its context, in a plugin that hangs, is left to itself then; as long as it goes
// on no other step about the same begins.
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
	// It may have ended in the same moment, or be about to for the same reason.
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return fmt.Errorf("it took longer than %s", wait)
	}
}

// awaitFormer waits for an earlier step about the same that was left to itself. It does not
// wait for long: that step has had its time.
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
