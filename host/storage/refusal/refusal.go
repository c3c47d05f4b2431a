// SPDX-License-Identifier: MPL-2.0

// Package refusal knows whether the storage of a performance secondary has refused a write. The error is not enough:
// backends wrap it, turn it into text, or drop it, and then a write would be lost silently. So the storage tap notes
// each refusal here, and the code that ran the request looks it up.
//
// A refusal is noted in two ways. One is in the request's context, for backends that pass it on to the storage. The
// other is by the view of the write, for backends in another process, whose storage calls have a context of their own.
package refusal

import (
	"context"
	"sync/atomic"
)

// Mark is set when a write in its context was refused.
type Mark struct {
	noted atomic.Bool
	outer *Mark
}

type key struct{}

// With returns a context whose refused writes set the mark, and the marks of the contexts around it: if an inner
// request could not write, neither could the outer one.
func With(ctx context.Context) (context.Context, *Mark) {
	m := &Mark{outer: of(ctx)}
	return context.WithValue(ctx, key{}, m), m
}

// Note says that a write with this context was refused.
func Note(ctx context.Context) {
	for m := of(ctx); m != nil; m = m.outer {
		m.noted.Store(true)
	}
}

// Noted says whether a write was refused.
func (m *Mark) Noted() bool { return m != nil && m.noted.Load() }

func of(ctx context.Context) *Mark {
	m, _ := ctx.Value(key{}).(*Mark)
	return m
}
