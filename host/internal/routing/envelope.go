// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// envelope makes the request that the primary gets. It is made before the request runs
// here, because backends write into the request. It leaves out what belongs to this
// cluster: token, token entry, storage, and the client's connection with its HTTP objects.
func envelope(ctx context.Context, m vaultname.Mount, req *logical.Request) *wire.Request {
	sent := &logical.Request{
		ID:                     req.ID,
		Operation:              req.Operation,
		Path:                   req.Path,
		Data:                   maps.Clone(req.Data),
		Secret:                 secretOf(req.Secret),
		Auth:                   authOf(req.Auth),
		Headers:                req.Headers,
		ClientTokenSource:      req.ClientTokenSource, // says which header to leave out
		Connection:             req.Connection,
		ClientTokenAccessor:    req.ClientTokenAccessor,
		DisplayName:            req.DisplayName,
		MountPoint:             req.MountPoint,
		MountType:              req.MountType,
		MountAccessor:          req.MountAccessor,
		WrapInfo:               req.WrapInfo,
		EntityID:               req.EntityID,
		ClientID:               req.ClientID,
		PolicyOverride:         req.PolicyOverride,
		Unauthenticated:        req.Unauthenticated,
		PathLimited:            req.PathLimited,
		RequestLimiterDisabled: req.RequestLimiterDisabled,
		ForwardedFrom:          req.ForwardedFrom,
	}
	out := &wire.Request{Logical: sent, MountPath: m.Path, MountUUID: m.UUID, MountAccessor: m.Accessor}
	// The router knows where the mount is now.
	if req.MountPoint != "" {
		out.MountPath = req.MountPoint
	}
	if deadline, ok := ctx.Deadline(); ok {
		out.Timeout = time.Until(deadline)
	}
	return out
}

func secretOf(s *logical.Secret) *logical.Secret {
	if s == nil {
		return nil
	}
	c := *s
	c.InternalData = maps.Clone(s.InternalData)
	c.LeaseID = ""
	return &c
}

func authOf(a *logical.Auth) *logical.Auth {
	if a == nil {
		return nil
	}
	c := *a
	c.InternalData = maps.Clone(a.InternalData)
	c.Metadata = maps.Clone(a.Metadata)
	c.ClientToken = ""
	c.Accessor = ""
	return &c
}

// ask sends a request and returns what the primary's backend returned. This cluster's core
// can make token and lease of it.
func ask(ctx context.Context, f Forwarder, req *wire.Request) (*logical.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, noAnswer(ctx, err)
	}
	// The attempt here has used up some of the time.
	if deadline, ok := ctx.Deadline(); ok {
		req.Timeout = time.Until(deadline)
	}
	answer, err := f.Do(ctx, req)
	if err == nil && answer == nil {
		err = errors.New("the answer is empty")
	}
	if err != nil {
		return nil, noAnswer(ctx, err)
	}
	if isReadOnly(answer.Err, false) {
		return nil, errPrimaryReadOnly
	}
	return local(answer.Response), answer.Err
}

// local removes from a response what only this cluster's core may put into it.
func local(resp *logical.Response) *logical.Response {
	if resp == nil {
		return nil
	}
	if resp.Secret != nil {
		resp.Secret.LeaseID = ""
	}
	if resp.Auth != nil {
		resp.Auth.ClientToken = ""
		resp.Auth.Accessor = ""
	}
	if resp.WrapInfo != nil {
		resp.WrapInfo.Token = ""
		resp.WrapInfo.Accessor = ""
		resp.WrapInfo.WrappedAccessor = ""
	}
	return resp
}
