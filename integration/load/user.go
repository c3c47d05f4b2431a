// SPDX-License-Identifier: MPL-2.0

package load

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/vault/api"
)

var (
	errStale = errors.New("the value read is not the one that this client wrote last")
	// errAnnounced says that a read returned an older state, as the answer to the write had
	// warned.
	errAnnounced = errors.New("as the answer to the write said")
	// errIdle says that there was nothing to do.
	errIdle = errors.New("nothing was to be done")
)

// user is one client. A write without an answer may or may not have happened. So the user
// then goes on with another key, and lifetime counts its keys.
type user struct {
	all                        *Clients
	client                     *api.Client
	number, lifetime, sequence int
	sealed, leased             string
}

func (u *user) writeAndRead(ctx context.Context) error {
	path := fmt.Sprintf("%s/%d/%d", Mount, u.number, u.lifetime)
	u.sequence++
	value := fmt.Sprint(u.sequence)
	u.all.forget(path)
	ahead, err := u.write(ctx, path, map[string]any{"value": value})
	if err != nil {
		return err
	}
	u.all.acknowledged(path, value)
	return announced(u.expect(ctx, path, value), ahead)
}

// write also says whether the answer warned that this cluster has not received
// the change yet.
func (u *user) write(ctx context.Context, path string, data map[string]any) (ahead bool, err error) {
	secret, err := u.client.Logical().WriteWithContext(ctx, path, data)
	if err != nil || secret == nil {
		return false, err
	}
	return slices.ContainsFunc(secret.Warnings,
		func(w string) bool { return strings.Contains(w, "has not received what it changed yet") }), nil
}

// announced marks what the warning of an earlier answer explains.
func announced(err error, ahead bool) error {
	if err == nil || !ahead || status(err) >= http.StatusInternalServerError {
		return err
	}
	return fmt.Errorf("%w: %v", errAnnounced, err) //nolint:errorlint // it is that no more
}

func (u *user) expect(ctx context.Context, path, value string) error {
	secret, err := u.client.Logical().ReadWithContext(ctx, path)
	if err != nil {
		return &readError{path, err}
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
		secret, err := u.client.Logical().WriteWithContext(ctx, "transit/decrypt/load",
			map[string]any{"ciphertext": u.sealed})
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
	secret, err := u.client.Logical().WriteWithContext(ctx, "auth/userpass/login/"+name,
		map[string]any{"password": Password})
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
	ahead, err := u.write(ctx, "auth/userpass/users/"+name, map[string]any{"password": Password, "token_policies": "load"})
	if err != nil {
		return err
	}
	return announced(u.loginAs(ctx, name), ahead)
}

// lease has a user of the database made, whose lease is renewed from then on.
func (u *user) lease(ctx context.Context) error {
	secret, err := u.client.Logical().ReadWithContext(ctx, "db/creds/load")
	if err != nil {
		return err
	}
	if secret == nil || secret.LeaseID == "" {
		return fmt.Errorf("db/creds/load gave no lease: %v", secret)
	}
	u.leased = secret.LeaseID
	return nil
}

func (u *user) renewLease(ctx context.Context) error {
	secret, err := u.client.Sys().RenewWithContext(ctx, u.leased, 600)
	if err == nil && secret.LeaseID != u.leased {
		err = fmt.Errorf("the renewal of %s answered %v", u.leased, secret)
	}
	return err
}

// passing writes to a mount that may go at any moment. Only then may the server say that
// there is no mount.
func (u *user) passing(ctx context.Context) error {
	mount, moment := u.all.Passing.Now()
	if mount == "" {
		return errIdle
	}
	u.sequence++
	path, value := fmt.Sprintf("%s/%d", mount, u.number), fmt.Sprint(u.sequence)
	ahead, err := u.write(ctx, path, map[string]any{"value": value})
	if err == nil {
		err = announced(u.expect(ctx, path, value), ahead)
	}
	if err != nil && u.all.Passing.Since(moment) && status(err) < http.StatusInternalServerError {
		return errIdle
	}
	return err
}

// readError is that of a read. It does not unwrap: a read has no excuse in an
// outage.
type readError struct {
	path string
	err  error
}

func (e *readError) Error() string { return fmt.Sprintf("reading %s: %v", e.path, e.err) }

// status is that of the answer; a request without one is as bad as a server's
// fault.
func status(err error) int {
	var read *readError
	if errors.As(err, &read) {
		err = read.err
	}
	var answer *api.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	if errors.Is(err, errStale) || errors.Is(err, errAnnounced) {
		return http.StatusOK
	}
	return http.StatusInternalServerError
}
