// SPDX-License-Identifier: MPL-2.0

package load

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/api"
)

// Policy is what the clients need of a policy; Password is that of their users.
const (
	Password = "correct horse"
	Policy   = `
path "load/*"                { capabilities = ["create", "read", "update"] }
path "transit/*"             { capabilities = ["update"] }
path "auth/userpass/users/*" { capabilities = ["create", "update"] }`
)

// Clients use a performance secondary as applications do.
type Clients struct {
	Outage Outage

	cancel context.CancelFunc
	wg     sync.WaitGroup
	counts [kinds]atomic.Int64
	faults atomic.Int64
	failed atomic.Int64 // writes that the outage explains

	mu    sync.Mutex
	wrong []error
	last  map[string]string
}

const kinds = 6

// actions in the order of a client's round. Those that need the primary may fail
// in an outage, the others never.
var actions = [kinds]struct {
	name    string
	primary bool
	do      func(*user, context.Context) error
}{
	{"write and read", true, (*user).writeAndRead},
	{"read", false, (*user).read},
	{"transit", false, (*user).transit},
	{"login", false, (*user).login},
	{"renewal", false, (*user).renew},
	{"login of a new entity", true, (*user).newcomer},
}

// PrepareClients makes on the primary what the clients need.
func PrepareClients(ctx context.Context, root *api.Client, count int) error {
	if err := Prepare(ctx, root); err != nil {
		return err
	}
	if err := root.Sys().MountWithContext(ctx, "transit", &api.MountInput{Type: "transit"}); err != nil {
		return err
	}
	if err := root.Sys().EnableAuthWithOptionsWithContext(ctx, "userpass", &api.EnableAuthOptions{Type: "userpass"}); err != nil {
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
		if err := u.login(ctx); err != nil {
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
		case action.primary && c.Outage.Since(moment) && excused(err):
			c.failed.Add(1)
			u.lifetime++
		default:
			c.fault(fmt.Errorf("client %d, %s: %w", u.number, action.name, err))
			u.lifetime++
		}
	}
}

// excused says whether an outage explains the error: an answer that says so, or
// a value that has not arrived because the link went between answer and arrival.
func excused(err error) bool {
	var answer *api.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode == http.StatusBadGateway || answer.StatusCode == http.StatusServiceUnavailable
	}
	return errors.Is(err, errStale)
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

// Forwarded is how many requests that the primary had to carry out went well.
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

var errStale = errors.New("the value read is not the one that this client wrote last")

// user is one client. A write without an answer may or may not have happened, so
// the user goes on with another key then: its lifetime counts them.
type user struct {
	all                        *Clients
	client                     *api.Client
	number, lifetime, sequence int
	sealed                     string
}

func (u *user) writeAndRead(ctx context.Context) error {
	path := fmt.Sprintf("%s/%d/%d", Mount, u.number, u.lifetime)
	u.sequence++
	value := fmt.Sprint(u.sequence)
	u.all.forget(path)
	if _, err := u.client.Logical().WriteWithContext(ctx, path, map[string]any{"value": value}); err != nil {
		return err
	}
	u.all.acknowledged(path, value)
	return u.expect(ctx, path, value)
}

func (u *user) expect(ctx context.Context, path, value string) error {
	secret, err := u.client.Logical().ReadWithContext(ctx, path)
	if err != nil {
		// Not wrapped: a read has no excuse in an outage.
		return fmt.Errorf("reading %s: %v", path, err) //nolint:errorlint // see above
	}
	if secret == nil || secret.Data["value"] != value {
		return fmt.Errorf("%w: %s, want %s, got %v", errStale, path, value, secret)
	}
	return nil
}

func (u *user) read(ctx context.Context) error { return u.expect(ctx, Mount+"/known", "known") }

// transit decrypts what was encrypted a round ago, with an older key perhaps.
func (u *user) transit(ctx context.Context) error {
	plain := base64.StdEncoding.EncodeToString(fmt.Append(nil, "client ", u.number))
	if u.sealed != "" {
		secret, err := u.client.Logical().WriteWithContext(ctx, "transit/decrypt/load", map[string]any{"ciphertext": u.sealed})
		if err != nil {
			return err
		}
		if secret == nil || secret.Data["plaintext"] != plain {
			return fmt.Errorf("decrypted to something else: %v", secret)
		}
	}
	secret, err := u.client.Logical().WriteWithContext(ctx, "transit/encrypt/load", map[string]any{"plaintext": plain})
	if err != nil {
		return err
	}
	u.sealed, _ = secret.Data["ciphertext"].(string)
	return nil
}

func (u *user) login(ctx context.Context) error {
	return u.loginAs(ctx, fmt.Sprintf("user-%d", u.number))
}

func (u *user) loginAs(ctx context.Context, name string) error {
	secret, err := u.client.Logical().WriteWithContext(ctx, "auth/userpass/login/"+name, map[string]any{"password": Password})
	if err != nil {
		return err
	}
	if secret == nil || secret.Auth == nil || secret.Auth.EntityID == "" {
		return fmt.Errorf("the login of %s gave no token with an entity", name)
	}
	u.client.SetToken(secret.Auth.ClientToken)
	return nil
}

func (u *user) renew(ctx context.Context) error {
	_, err := u.client.Auth().Token().RenewSelfWithContext(ctx, 600)
	return err
}

func (u *user) newcomer(ctx context.Context) error {
	u.sequence++
	name := fmt.Sprintf("new-%d-%d", u.number, u.sequence)
	data := map[string]any{"password": Password, "token_policies": "load"}
	if _, err := u.client.Logical().WriteWithContext(ctx, "auth/userpass/users/"+name, data); err != nil {
		return err
	}
	return u.loginAs(ctx, name)
}
