// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/singleflight"

	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// patience bounds one question to the primary and the wait for what it wrote. It is shorter
// than a client's timeout, so that the client learns the reason.
const patience = 30 * time.Second

// Caller reaches the primary. Call returns the primary's position after the call;
// it must not wait for that position itself.
type Caller interface {
	Call(ctx context.Context, kind string, body []byte) (answer []byte, at replication.Position, err error)
}

// Waiter waits until a position of the primary has been applied here and taken up
// by the running core.
type Waiter interface {
	Wait(ctx context.Context, at replication.Position) error
}

// Store is the identity store of the secondary.
type Store interface {
	// AliasState returns the entity behind an alias, "" when there is none. Same says
	// whether a login with this metadata leaves the alias as it is.
	AliasState(accessor, name string, metadata map[string]string) (entityID string, same bool, err error)
	// GroupsDiffer says whether a login with these group aliases changes groups.
	GroupsDiffer(entityID, accessor string, aliases []string) (bool, error)
	// TakeUp reads again from storage what such a login depends on.
	TakeUp(ctx context.Context, entityID, accessor string, aliases []string) error
	// PutLocalAlias writes the alias of a local mount.
	PutLocalAlias(ctx context.Context, entityID, accessor, name string, metadata map[string]string) error
	// SettleEntity forgets that an entity was kept before it had arrived here.
	SettleEntity(ctx context.Context, entityID string) error
}

// Secondary is the side that asks.
type Secondary struct {
	store  Store
	caller Caller
	waiter Waiter
	logger hclog.Logger

	flights singleflight.Group
	gate    gate
}

// NewSecondary returns a Secondary. It may live as long as the process: it does
// nothing until it is called.
func NewSecondary(store Store, caller Caller, waiter Waiter, logger hclog.Logger) *Secondary {
	return &Secondary{store: store, caller: caller, waiter: waiter, logger: logger}
}

// refusal is the primary's refusal.
type refusal struct{ reason string }

func (r refusal) Error() string { return "the primary refused the change of identity: " + r.reason }

// unavailable is the answer to a client whose identity cannot be had now. Of Vault's coded
// errors only this one keeps its status where the core wraps errors, as it does for a
// renewal.
func unavailable(err error) error {
	var no refusal
	if errors.As(err, &no) {
		return &logical.ReplicationCodedError{Code: http.StatusBadRequest, Msg: no.Error()}
	}
	return &logical.ReplicationCodedError{Code: http.StatusServiceUnavailable, Msg: fmt.Sprintf(
		"this needs a change of identity data that only the primary cluster can make, and this cluster did not get it: %v; "+
			"try again when that is mended", err)}
}

// ask makes one call and waits until what it wrote is here. Many who ask the same at once
// share one call, so its context belongs to none of them. A request that comes just after
// its end finds the change done.
func (s *Secondary) ask(ctx context.Context, kind string, body []byte, done func() (bool, error)) (Entity, error) {
	flight := s.flights.DoChan(kind+"\x00"+string(body), func() (any, error) {
		if ok, err := done(); err != nil || ok {
			return Entity{}, err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		answer, at, err := s.call(ctx, kind, body)
		if err != nil {
			return Entity{}, err
		}
		if err := s.waiter.Wait(ctx, at); err != nil {
			return Entity{}, fmt.Errorf("the primary has made it, but it has not arrived here: %w", err)
		}
		return answer, nil
	})
	select {
	case <-ctx.Done():
		return Entity{}, ctx.Err()
	case r := <-flight:
		if r.Err != nil {
			return Entity{}, r.Err
		}
		return r.Val.(Entity), nil
	}
}

// call makes one call and does not wait.
func (s *Secondary) call(ctx context.Context, kind string, body []byte) (Entity, replication.Position, error) {
	raw, at, err := s.caller.Call(ctx, kind, body)
	if err != nil {
		return Entity{}, at, err
	}
	var answer Entity
	if err := strictjson.Decode(raw, &answer); err != nil {
		return Entity{}, at, fmt.Errorf("the primary's answer to %s is not understood (run the same version on both "+
			"clusters): %w", kind, err)
	}
	if answer.Refused != "" {
		return Entity{}, at, refusal{answer.Refused}
	}
	return answer, at, nil
}
