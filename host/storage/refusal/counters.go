// SPDX-License-Identifier: MPL-2.0

package refusal

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Counters count refused writes by the view of a mount. The zero value is ready;
// safe for concurrent use.
type Counters struct {
	views sync.Map // prefix: *atomic.Uint64
}

// Bump counts a refused write of a storage key.
func (c *Counters) Bump(key string) {
	view := viewOf(key)
	n, ok := c.views.Load(view)
	if !ok {
		n, _ = c.views.LoadOrStore(view, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

// Of is how many writes below a view's prefix, such as "logical/<uuid>/", were refused. It never decreases.
func (c *Counters) Of(prefix string) uint64 {
	if n, ok := c.views.Load(prefix); ok {
		return n.(*atomic.Uint64).Load()
	}
	return 0
}

// viewOf is the first two levels of a key of a mount's view, and the first level of any other key. So the number of
// counters depends on the mounts, not on the keys.
func viewOf(key string) string {
	kind, rest, ok := strings.Cut(key, "/")
	if !ok {
		return ""
	}
	if kind == "logical" || kind == "auth" || kind == "audit" {
		if uuid, _, below := strings.Cut(rest, "/"); below {
			return kind + "/" + uuid + "/"
		}
	}
	return kind + "/"
}
