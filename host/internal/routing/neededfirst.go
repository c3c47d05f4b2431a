// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"maps"
	"net/http"
	"regexp"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// neededFirst is an operation that makes something local and needs something shared, which the backend makes when it is
// missing. If the primary ran the whole operation, no client of this cluster would find the local part. So the primary
// first gets a harmless request that makes the shared part, and the operation runs here.
type neededFirst struct {
	class, typ string
	op         logical.Operation
	match      *regexp.Regexp
	// ask is the harmless request.
	ask func() (*logical.Request, error)
}

var neededFirsts = []neededFirst{
	// A one-time password is in the mount's local storage, under a name made with a salt. The salt is shared and is made
	// with the first password. A request to verify a password that does not exist makes the salt too, and needs no
	// permission.
	{class: vaultname.ClassSecret, typ: "ssh", op: logical.UpdateOperation,
		match: regexp.MustCompile(`^creds/` + anyRole + `$`), ask: verifyNothing},
}

func verifyNothing() (*logical.Request, error) {
	nobodys, err := uuid.GenerateUUID()
	if err != nil {
		return nil, err
	}
	id, err := uuid.GenerateUUID()
	if err != nil {
		return nil, err
	}
	return &logical.Request{ID: id, Operation: logical.UpdateOperation, Path: "verify",
		Data: map[string]any{"otp": nobodys}}, nil
}

// neededFirstOf is the row of an operation, nil if there is none.
func neededFirstOf(m vaultname.Mount, op logical.Operation, path string) *neededFirst {
	for i, n := range neededFirsts {
		if n.class == m.Class && n.typ == m.Type && n.op == op && n.match.MatchString(path) {
			return &neededFirsts[i]
		}
	}
	return nil
}

// runHereAfter has the primary make what an operation needs, and then runs the operation
// here.
func (w *Wrapper) runHereAfter(ctx context.Context, n *neededFirst, req *logical.Request,
	sent *wire.Request) (*logical.Response, error) {
	ask, err := n.ask()
	if err != nil {
		return nil, err
	}
	ask.MountPoint, ask.Connection = req.MountPoint, req.Connection
	// The backend's answer does not matter.
	if _, err := w.o.Forwarder.Do(ctx, envelope(ctx, w.mount, ask)); err != nil {
		return nil, noAnswer(ctx, err)
	}
	again := *req
	again.Path, again.Data = sent.Logical.Path, maps.Clone(sent.Logical.Data)
	resp, refused, err := w.tryHere(ctx, &again, true)
	if refused {
		return nil, coded(http.StatusServiceUnavailable, "this needs something that the primary cluster has just made and "+
			"that has not arrived here yet: try again in a moment")
	}
	return resp, err
}
