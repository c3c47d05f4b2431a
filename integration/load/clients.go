// SPDX-License-Identifier: MPL-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/api"
)

// Policy is what the clients need to be allowed. Password is that of their users.
const (
	Password = "correct horse"
	Policy   = `
path "load/*"                { capabilities = ["create", "read", "update"] }
path "passing/*"             { capabilities = ["create", "read", "update"] }
path "transit/*"             { capabilities = ["update"] }
path "db/creds/load"         { capabilities = ["read"] }
path "sys/leases/renew"      { capabilities = ["update"] }
path "auth/userpass/users/*" { capabilities = ["create", "update"] }`
)

// Clients use a performance secondary as applications do.
type Clients struct {
	Outage  Outage
	Passing Passing

	cancel context.CancelFunc
	wg     sync.WaitGroup
	counts [kinds]atomic.Int64
	faults atomic.Int64
	failed atomic.Int64 // requests to the primary that the outage explains

	mu    sync.Mutex
	wrong []error
	last  map[string]string
}

const kinds = 8

// actions are in the order of a client's round. Those that need the primary may fail in an
// outage. The others must never fail.
var actions = [kinds]struct {
	name    string
	primary bool
	do      func(*user, context.Context) error
}{
	{"write and read", true, (*user).writeAndRead},
	{"read", false, (*user).read},
	{"transit", false, (*user).transit},
	{"login", false, (*user).login},
	{"renewal of a token", false, (*user).renew},
	{"renewal of a lease", false, (*user).renewLease},
	{"login of a new entity", true, (*user).newcomer},
	{"write and read in a mount that goes", true, (*user).passing},
}

// Database gives the clients their leases.
type Database struct{ URL, Admin, Password string }

// PrepareClients makes on the primary what the clients need.
func PrepareClients(ctx context.Context, root *api.Client, count int, db Database) error {
	if err := Prepare(ctx, root); err != nil {
		return err
	}
	if err := prepareDatabase(ctx, root, db); err != nil {
		return err
	}
	if err := root.Sys().MountWithContext(ctx, "transit", &api.MountInput{Type: "transit"}); err != nil {
		return err
	}
	if err := root.Sys().EnableAuthWithOptionsWithContext(ctx, "userpass",
		&api.EnableAuthOptions{Type: "userpass"}); err != nil {
		return err
	}
	if err := root.Sys().PutPolicyWithContext(ctx, "load", Policy); err != nil {
		return err
	}
	writes := []string{"transit/keys/load"}
	for i := range count {
		writes = append(writes, fmt.Sprintf("auth/userpass/users/user-%d", i))
	}
	for _, path := range append(writes, Mount+"/known") {
		data := map[string]any{"value": "known"}
		if path != Mount+"/known" {
			data = map[string]any{"password": Password, "token_policies": "load", "token_ttl": "30m"}
		}
		if path == "transit/keys/load" {
			data = nil
		}
		if _, err := root.Logical().WriteWithContext(ctx, path, data); err != nil {
			return err
		}
	}
	return nil
}

func prepareDatabase(ctx context.Context, root *api.Client, db Database) error {
	if err := root.Sys().MountWithContext(ctx, "db", &api.MountInput{Type: "database"}); err != nil {
		return err
	}
	if _, err := root.Logical().WriteWithContext(ctx, "db/config/main", map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": db.URL,
		"username": db.Admin, "password": db.Password,
	}); err != nil {
		return err
	}
	_, err := root.Logical().WriteWithContext(ctx, "db/roles/load", map[string]any{
		"db_name": "main", "default_ttl": "10m", "max_ttl": "1h",
		"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
	})
	return err
}

// StartClients logs the clients in, with no outage yet, and lets them work.
func StartClients(ctx context.Context, newClient func() *api.Client, count int) (*Clients, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &Clients{cancel: cancel, last: map[string]string{}}
	var users []*user
	for i := range count {
		client := newClient()
		// A retry of the client would hide an answer.
		client.SetMaxRetries(0)
		u := &user{all: c, client: client, number: i}
		if err := errors.Join(u.login(ctx), u.lease(ctx)); err != nil {
			cancel()
			return nil, err
		}
		users = append(users, u)
	}
	for _, u := range users {
		c.wg.Go(func() { c.run(ctx, u) })
	}
	return c, nil
}

func (c *Clients) run(ctx context.Context, u *user) {
	for n := u.number; ctx.Err() == nil; n++ {
		kind := n % len(actions)
		action, moment := actions[kind], c.Outage.Moment()
		err := action.do(u, ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			c.counts[kind].Add(1)
		case errors.Is(err, errIdle):
		case action.primary && c.Outage.Since(moment) && excused(err):
			c.failed.Add(1)
			u.lifetime++
		default:
			c.fault(fmt.Errorf("client %d, %s: %w", u.number, action.name, err))
			u.lifetime++
		}
	}
}

// excused says whether an outage explains the error. Either the answer says so, or a value
// has not arrived and the answer to its write warned of that.
func excused(err error) bool {
	var answer *api.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode == http.StatusConflict || answer.StatusCode == http.StatusServiceUnavailable
	}
	return errors.Is(err, errAnnounced)
}

func (c *Clients) fault(err error) {
	c.faults.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	// The first ones say what is wrong; thousands more would hide them.
	if len(c.wrong) < 20 {
		c.wrong = append(c.wrong, err)
	}
}

func (c *Clients) acknowledged(path, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[path] = value
}

func (c *Clients) forget(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.last, path)
}

// Stop ends the clients. It returns the last acknowledged value of each path and
// what was wrong.
func (c *Clients) Stop() (map[string]string, error) {
	c.cancel()
	c.wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.last), errors.Join(c.wrong...)
}

// Forwarded counts the successful requests that the primary had to carry out.
func (c *Clients) Forwarded() int64 {
	var n int64
	for i, a := range actions {
		if a.primary {
			n += c.counts[i].Load()
		}
	}
	return n
}

// Report says what was done.
func (c *Clients) Report() string {
	text := fmt.Sprintf("%d faults, %d requests to the primary failed in outages", c.faults.Load(), c.failed.Load())
	for i, a := range actions {
		text += fmt.Sprintf(", %d × %s", c.counts[i].Load(), a.name)
	}
	return text
}
