// SPDX-License-Identifier: MPL-2.0

package follow

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Again hands keys that were applied to who takes them up, and those that he could
// not take up once more with the next ones. Safe for concurrent use; the zero value
// is ready.
type Again struct {
	mu   sync.Mutex
	owed map[string]bool
}

// Take calls takeUp with the keys and all that are owed, unless there are none.
func (a *Again) Take(ctx context.Context, keys []string, takeUp func(context.Context, []string) error) error {
	a.mu.Lock()
	if len(a.owed) > 0 {
		for _, key := range keys {
			a.owed[key] = true
		}
		keys = slices.Sorted(maps.Keys(a.owed))
	}
	a.owed = nil
	a.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	err := takeUp(ctx, keys)
	if err != nil {
		a.owe(keys)
	}
	return err
}

func (a *Again) owe(keys []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.owed == nil {
		a.owed = map[string]bool{}
	}
	for _, key := range keys {
		a.owed[key] = true
	}
}

// Forget drops what is owed: it has been read in another way.
func (a *Again) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.owed = nil
}
