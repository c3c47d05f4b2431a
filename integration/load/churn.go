// SPDX-License-Identifier: MPL-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
)

// churnPolicy is what churning clients need.
const churnPolicy = `
path "load/*"             { capabilities = ["create", "read", "update", "delete"] }
path "transit/*"          { capabilities = ["update"] }
path "db/creds/load"      { capabilities = ["read"] }
path "sys/leases/renew"   { capabilities = ["update"] }
path "sys/leases/revoke"  { capabilities = ["update"] }`

const (
	// churnKeys is how many keys each client writes and deletes in turns, and
	// leaseLife how many renewals a lease has.
	churnKeys, leaseLife = 64, 10
	churnPace            = 40 * time.Millisecond
	churnPatience        = 20 * time.Second
)

// Churn are clients of a performance secondary that leave nothing behind: they delete their
// keys and revoke their tokens and leases. So what grows in a server meanwhile is the
// server's own.
type Churn struct {
	cancel         context.CancelFunc
	wg             sync.WaitGroup
	worked, failed atomic.Int64
	mu             sync.Mutex
	counts         map[string]int
}

// StartChurn begins with what [PrepareClients] has made on the primary for this number of
// clients. The clients go on after failures.
func StartChurn(ctx context.Context, primary *api.Client, newClient func() *api.Client, count int) (*Churn, error) {
	if err := primary.Sys().PutPolicyWithContext(ctx, "load", churnPolicy); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &Churn{cancel: cancel, counts: map[string]int{}}
	for i := range count {
		client := newClient()
		client.SetMaxRetries(0)
		client.SetClientTimeout(churnPatience)
		ch := &churner{user: user{client: client, number: i}, primary: primary}
		c.wg.Go(func() { c.run(ctx, ch) })
	}
	return c, nil
}

// Worked is how many requests went well so far.
func (c *Churn) Worked() int64 { return c.worked.Load() }

// Stop ends the clients.
func (c *Churn) Stop() {
	c.cancel()
	c.wg.Wait()
}

// Report says what was done.
func (c *Churn) Report() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := fmt.Sprintf("%d requests failed", c.failed.Load())
	for _, a := range churnActions {
		text += fmt.Sprintf(", %d × %s", c.counts[a.name], a.name)
	}
	return text
}

func (c *Churn) run(ctx context.Context, ch *churner) {
	for n := 0; ctx.Err() == nil; n++ {
		action := churnActions[n%len(churnActions)]
		// Without a token every request would be refused.
		if ch.client.Token() == "" {
			action = churnActions[0]
		}
		if err := action.do(ch, ctx); err == nil {
			c.worked.Add(1)
			c.mu.Lock()
			c.counts[action.name]++
			c.mu.Unlock()
		} else if ctx.Err() == nil && !errors.Is(err, errIdle) {
			c.failed.Add(1)
		}
		select {
		case <-ctx.Done():
		case <-time.After(churnPace):
		}
	}
}

var churnActions = []struct {
	name string
	do   func(*churner, context.Context) error
}{
	{"login", (*churner).again},
	{"write", (*churner).put},
	{"read", (*churner).get},
	{"renewal of a token", (*churner).renew},
	{"transit", (*churner).transit},
	{"write on the primary", (*churner).putThere},
	{"renewal of a lease", (*churner).extend},
	{"delete", (*churner).remove},
	{"delete on the primary", (*churner).removeThere},
}

// churner is one client.
type churner struct {
	user
	primary          *api.Client
	renewals, logins int
}

// again logs in and revokes that token at once. From time to time the client keeps the new
// token and revokes the former one, whose leases end with it.
func (u *churner) again(ctx context.Context) error {
	old := u.client.Token()
	u.client.ClearToken()
	if err := u.login(ctx); err != nil {
		u.client.SetToken(old)
		return err
	}
	gone := old
	if u.logins++; u.logins%leaseLife != 0 && old != "" {
		gone = u.client.Token()
		u.client.SetToken(old)
	} else {
		u.leased = ""
	}
	if gone == "" {
		return nil
	}
	revoker, err := u.client.CloneWithHeaders()
	if err != nil {
		return err
	}
	revoker.SetToken(gone)
	// A token that could not be revoked lives for half an hour.
	return revoker.Auth().Token().RevokeSelfWithContext(ctx, "")
}

func (u *churner) path(n int, side string) string {
	return fmt.Sprintf("%s/churn/%s/%d/%d", Mount, side, u.number, n%churnKeys)
}

func (u *churner) put(ctx context.Context) error {
	u.sequence++
	_, err := u.client.Logical().WriteWithContext(ctx, u.path(u.sequence, "west"),
		map[string]any{"value": fmt.Sprint(u.sequence)})
	return err
}

func (u *churner) get(ctx context.Context) error {
	_, err := u.client.Logical().ReadWithContext(ctx, u.path(u.sequence, "west"))
	return err
}

func (u *churner) remove(ctx context.Context) error {
	_, err := u.client.Logical().DeleteWithContext(ctx, u.path(u.sequence+churnKeys/2, "west"))
	return err
}

func (u *churner) putThere(ctx context.Context) error {
	_, err := u.primary.Logical().WriteWithContext(ctx, u.path(u.sequence, "east"),
		map[string]any{"value": fmt.Sprint(u.sequence)})
	return err
}

func (u *churner) removeThere(ctx context.Context) error {
	_, err := u.primary.Logical().DeleteWithContext(ctx, u.path(u.sequence+churnKeys/2, "east"))
	return err
}

// extend renews a lease, and from time to time takes another one in its place.
func (u *churner) extend(ctx context.Context) error {
	if u.leased == "" {
		u.renewals = 0
		return u.lease(ctx)
	}
	lease := u.leased
	if u.renewals++; u.renewals > leaseLife {
		u.leased = ""
		_, err := u.client.Logical().WriteWithContext(ctx, "sys/leases/revoke", map[string]any{"lease_id": lease})
		return err
	}
	return u.renewLease(ctx)
}
