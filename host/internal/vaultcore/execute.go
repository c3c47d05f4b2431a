// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/audit"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/duty"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore/routes"
)

// Execute runs a request that another host has authenticated and authorised. It runs through the router, in the backend
// at the path, with the mount's storage view and locks and without a token. The request's path is relative to the
// mount. uuid and accessor identify the mount; they are empty for the core's own backends, which are the same on every
// cluster. Local mounts are refused. A tainted mount accepts what the router lets pass: revocations.
func (c *Core) Execute(ctx context.Context, req *logical.Request, path, uuid, accessor string) (*logical.Response,
	error) {
	var resp *logical.Response
	err := c.serving(ctx, func(ctx context.Context) error {
		if err := c.sameMount(path, uuid, accessor); err != nil {
			return err
		}
		routed := *req
		routed.Path = path + req.Path
		routed.ClientToken = ""
		routed.SetTokenEntry(nil)
		var err error
		resp, err = c.Router().Route(ctx, &routed)
		return err
	})
	return resp, err
}

// sameMount refuses another mount than the one that is meant. A remount may come between this check and the router.
// Then the request runs in the new mount.
func (c *Core) sameMount(path, uuid, accessor string) error {
	m, ok := c.MountAt(path)
	switch {
	case !ok || m.Path != path:
		return &logical.ReplicationCodedError{Code: 404, Msg: fmt.Sprintf("the primary has no mount at %s: it was moved or "+
			"removed a moment ago, or the secondary has not caught up", path)}
	case routes.OfCore(m.Type) && uuid == "" && accessor == "":
		return nil
	case m.Local:
		return &logical.ReplicationCodedError{Code: 403, Msg: fmt.Sprintf("the mount at %s is local to the primary", path)}
	case routes.OfCore(m.Type) || m.UUID != uuid || m.Accessor != accessor:
		return &logical.ReplicationCodedError{Code: 409, Msg: fmt.Sprintf("the mount at %s is another one on the primary: "+
			"the secondary has not caught up, try again in a moment", path)}
	}
	return nil
}

// AuditRequest writes a request to the audit devices. It fails when none took it.
func (c *Core) AuditRequest(ctx context.Context, in *logical.LogInput) error {
	return c.audited(ctx, func(ctx context.Context, b *audit.Broker) error { return b.LogRequest(ctx, in) })
}

// AuditResponse writes a response to the audit devices. It fails when none took
// it.
func (c *Core) AuditResponse(ctx context.Context, in *logical.LogInput) error {
	return c.audited(ctx, func(ctx context.Context, b *audit.Broker) error { return b.LogResponse(ctx, in) })
}

func (c *Core) audited(ctx context.Context, f func(context.Context, *audit.Broker) error) error {
	return c.serving(ctx, func(ctx context.Context) error {
		b := *pinned.Field[*audit.Broker](c.Core, "auditBroker")
		if b == nil {
			return duty.ErrEnds
		}
		return f(ctx, b)
	})
}

// serving runs f as Vault runs a request of a client: on an active node alone,
// with its state held, and no longer than the active duty lasts. If that is why f
// fails, or does not run, the error is a [duty.Away].
func (c *Core) serving(ctx context.Context, f func(context.Context) error) error {
	return pinned.WithState(c.Core, func() error {
		active := *pinned.Field[context.Context](c.Core, "activeContext")
		switch {
		case c.Sealed():
			return &duty.Away{Err: consts.ErrSealed}
		case *pinned.Field[bool](c.Core, "standby"):
			return &duty.Away{Err: consts.ErrStandby}
		case active == nil || active.Err() != nil:
			return &duty.Away{Err: duty.ErrEnds}
		}
		ctx, cancel := context.WithCancel(namespace.RootContext(ctx))
		defer cancel()
		defer context.AfterFunc(active, cancel)()
		err := f(ctx)
		if err != nil && active.Err() != nil {
			return &duty.Away{Begun: true, Err: err}
		}
		return err
	})
}
