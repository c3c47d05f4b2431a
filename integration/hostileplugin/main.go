// SPDX-License-Identifier: MPL-2.0

// Command hostileplugin is a replication plugin that was taken over. It works as the real
// one until it is ordered to attack. Then it tries what a plugin must not get, and goes
// on. A test builds and runs it.
//
// The environment names the mode (HOSTILE_MODE) and a folder (HOSTILE_DIR). A file "order"
// in it begins the attacks, a file "order-copy" those on a first copy. "report" gets a
// line of JSON for each attack, with the host's error. The error is empty if the host let
// the attack pass.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/plugin/engine"
	"github.com/vault-replication/vault-replication/shared/grpcplugin"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func main() {
	mode, dir := replication.Mode(os.Getenv("HOSTILE_MODE")), os.Getenv("HOSTILE_DIR")
	grpcplugin.Serve(func(host replication.Host, logger hclog.Logger) replication.Backend {
		return engine.New(engine.Config{Mode: mode}, &hostile{Host: host, mode: mode, dir: dir, logger: logger}, logger)
	})
}

// hostile stands between the engine and the host.
type hostile struct {
	replication.Host
	mode   replication.Mode
	dir    string
	logger hclog.Logger

	// Only one call attacks at a time. former is the frame that was applied before.
	mu     sync.Mutex
	former *replication.Frame
}

// copying is the side of a secondary whose copy is under way.
const copying = "copy"

// ordered says whether attacks of a side were ordered and are not made yet.
func (h *hostile) ordered(side string) bool {
	order := "order"
	if side == copying {
		order = "order-copy"
	}
	_, err := os.Stat(filepath.Join(h.dir, order))
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(h.dir, side))
	return errors.Is(err, os.ErrNotExist)
}

// done says that all attacks of a side were made.
func (h *hostile) done(side string) {
	if err := os.WriteFile(filepath.Join(h.dir, side), nil, 0o600); err != nil {
		h.logger.Error("the end of the attacks cannot be noted", "error", err)
	}
}

// try notes the result of an attack.
func (h *hostile) try(name string, err error) {
	line := struct{ Name, Error string }{Name: name}
	if err != nil {
		line.Error = err.Error()
	}
	raw, err := json.Marshal(line)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(filepath.Join(h.dir, "report"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
			_, err = f.Write(append(raw, '\n'))
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		h.logger.Error("an attack cannot be noted", "attack", name, "error", err)
	}
}

// BeginCopy claims that a copy that has just begun is complete.
func (h *hostile) BeginCopy(ctx context.Context, from replication.Opening) (*replication.Cursor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, err := h.Host.BeginCopy(ctx, from)
	if err == nil && h.ordered(copying) {
		h.attackBegunCopy(ctx, from)
	}
	return c, err
}

// Diff answers in place of the primary, where a copy is a comparison. The answer at hand
// belongs to a question that is no longer open: the copy begins again.
func (h *hostile) Diff(ctx context.Context, answer []byte) (*replication.DiffStep, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if answer != nil && h.ordered(copying) {
		h.attackAnswer(ctx, answer)
		h.done(copying)
	}
	return h.Host.Diff(ctx, answer)
}

// ApplyRange cuts a copy short with the range at hand.
func (h *hostile) ApplyRange(ctx context.Context, r *replication.Range) (*replication.Cursor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ordered(copying) {
		h.attackRange(ctx, r)
		h.done(copying)
	}
	return h.Host.ApplyRange(ctx, r)
}

// ApplyFrame attacks the host of a secondary with the frame at hand.
func (h *hostile) ApplyFrame(ctx context.Context, f *replication.Frame) (*replication.Cursor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.former != nil && h.ordered("secondary") {
		h.attackSecondary(ctx, h.former, f)
		h.done("secondary")
	}
	c, err := h.Host.ApplyFrame(ctx, f)
	if err == nil {
		h.former = f
	}
	return c, err
}

// AckSlot attacks the host of a primary, which has a secondary then.
func (h *hostile) AckSlot(ctx context.Context, id string, at replication.Position, secondary replication.Proof) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ordered("primary") {
		h.attackPrimary(ctx, id, at, secondary)
		h.done("primary")
	}
	return h.Host.AckSlot(ctx, id, at, secondary)
}
