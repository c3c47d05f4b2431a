// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/helper/locking"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
)

// RequestStarted is when the HTTP request came that a backend serves with this context. The
// core takes the request's deadline off the context before it calls a backend. OK is false
// for what the core does by itself.
func (c *Core) RequestStarted(ctx context.Context) (at time.Time, ok bool) {
	data, ok := c.inFlight(ctx)
	return data.StartTime, ok
}

// RequestName names an HTTP request among those under way.
type RequestName struct{ path *byte }

// NameRequest gives a request a name before Vault's handler gets it. Of what comes with the
// request, the core keeps the path until it is answered: a copy that this request alone has
// is known by its place.
func NameRequest(r *http.Request) RequestName {
	r.URL.Path = strings.Clone(r.URL.Path)
	return RequestName{pinned.Place(r.URL.Path)}
}

// RequestNamed is the name of the request that a backend serves with this context. What the
// core does by itself has a name that no request has.
func (c *Core) RequestNamed(ctx context.Context) RequestName {
	data, _ := c.inFlight(ctx)
	return RequestName{pinned.Place(data.ReqPath)}
}

// Free says whether a request of now would get the state lock of the core. It does not block.
func (c *Core) Free() bool {
	lock, ok := (*pinned.Field[locking.RWMutex](c.Core, "stateLock")).(interface{ TryRLock() bool })
	if !ok {
		return true // one that looks for deadlocks
	}
	if !lock.TryRLock() {
		return false
	}
	(*pinned.Field[locking.RWMutex](c.Core, "stateLock")).RUnlock()
	return true
}

func (c *Core) inFlight(ctx context.Context) (data vault.InFlightReqData, ok bool) {
	id, _ := ctx.Value(logical.CtxKeyInFlightRequestID{}).(string)
	if id == "" {
		return data, false
	}
	kept, _ := (*pinned.Field[*vault.InFlightRequests](c.Core, "inFlightReqData")).InFlightReqMap.Load(id)
	data, ok = kept.(vault.InFlightReqData)
	return data, ok
}
