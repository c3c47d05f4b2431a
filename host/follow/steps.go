// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
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

// try does a step within a bound. A failure is what the secondary lacks until a
// step about the same succeeds.
func (f *Follower) try(ctx context.Context, wait time.Duration, what, about string, step func(context.Context) error) bool {
	if err := f.bounded(ctx, wait, about, step); err != nil {
		if ctx.Err() == nil {
			f.lack(about, fmt.Sprintf("%s could not be taken over: %v; it is tried again", what, err))
		}
		return false
	}
	f.mend(about)
	return true
}

// persist does a step, and again until it succeeds.
func (f *Follower) persist(ctx context.Context, what string, step func(context.Context) error) {
	f.done(f.try(ctx, f.o.StepWait, what, what, step), what, func(ctx context.Context) { f.persist(ctx, what, step) })
}

// bounded runs a step and waits for it for a while. A step that does not heed
// its context, in a plugin that hangs, is left to itself then; as long as it goes
// on no other step about the same begins.
func (f *Follower) bounded(ctx context.Context, wait time.Duration, about string, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := f.awaitFormer(ctx, about); err != nil {
		return err
	}
	done, ended := make(chan error, 1), make(chan struct{})
	f.mu.Lock()
	f.steps[about] = ended
	f.mu.Unlock()
	go func() {
		err := step(ctx)
		f.mu.Lock()
		delete(f.steps, about)
		f.mu.Unlock()
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

// awaitFormer waits for a step about the same that has been left to itself, not for
// long: it has had its time.
func (f *Follower) awaitFormer(ctx context.Context, about string) error {
	f.mu.Lock()
	former := f.steps[about]
	f.mu.Unlock()
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

// grace is what a step has to notice that its time is up, and how long the next one
// waits for it.
const grace = 200 * time.Millisecond
