// SPDX-License-Identifier: MPL-2.0

// Package refusal says that the storage of a performance secondary has refused a
// write. The error that the writer gets is not enough: backends wrap it, turn it
// into text, or drop it, and then a write would be lost in silence. So the
// storage tap notes each refusal here, and who has run the request asks.
//
// A refusal is noted in two ways: in the request's context, for backends that
// hand it on to the storage, and by the view that was written to, for those in
// another process, whose storage calls come with a context of their own.
package refusal

import (
	"context"
	"sync/atomic"
)

// Mark is set when a write was refused below the context that it came with.
type Mark struct {
	noted atomic.Bool
	outer *Mark
}

type key struct{}

// With returns a context whose refused writes are noted in the mark, and in the
// marks of the contexts around it: a request that runs another has failed to
// write when the inner one has.
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
