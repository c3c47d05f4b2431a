// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/internal/operation"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Locals knows the local things of a secondary, which the primary does not know.
type Locals interface {
	// LocalMount says whether the mount at a path is local.
	LocalMount(path string) bool
	// LocalAlias says whether an alias is local: by its id, or by its mount's accessor if
	// it has no id yet.
	LocalAlias(id, accessor string) bool
	// LocalClash names two aliases on one local mount if a merge of the entities "from" into
	// the entity "into" would lose one of them, and is "" otherwise. keep has the ids of
	// aliases of "into" that the client wants to keep: those clash with none.
	LocalClash(into string, from, keep []string) string
}

// DecorateForward replaces the handlers of one of the core's own backends (System, Identity
// or Token) by the table. It is for a performance secondary. Call it each time that the
// backend is made, before it serves. It returns the patterns that the table does not name;
// their handlers stay as they are.
func DecorateForward(b *framework.Backend, kind string, f Forwarder, own Locals) (unnamed []string, err error) {
	if corePrefixes[kind] == "" {
		return nil, fmt.Errorf("%q is none of the core's own backends", kind)
	}
	for _, p := range b.Paths {
		row, ok := rowOf(kind, p.Pattern)
		if !ok {
			unnamed = append(unnamed, p.Pattern)
			continue
		}
		for op, h := range p.Operations {
			switch {
			case row.way(op) != Local:
				p.Operations[op] = anyCluster{operation.Around(h, func(stock framework.OperationFunc) framework.OperationFunc {
					return row.decide(stock, f, own)
				})}
			case row.Behind && slices.Contains(writing, op):
				p.Operations[op] = operation.Around(h, tell)
			}
		}
		for op, call := range p.Callbacks {
			switch {
			case row.way(op) != Local:
				p.Callbacks[op] = row.decide(call, f, own)
			case row.Behind && slices.Contains(writing, op):
				p.Callbacks[op] = tell(call)
			}
		}
	}
	return unnamed, nil
}

// After calls run when a writing operation has ended on a pattern that begins with one of
// the prefixes, whatever it answered, and before the answer goes out.
func After(b *framework.Backend, prefixes []string, run func()) {
	for _, p := range b.Paths {
		pattern := strings.TrimPrefix(p.Pattern, "^")
		if !slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(pattern, prefix) }) {
			continue
		}
		for op, h := range p.Operations {
			if !slices.Contains(writing, op) {
				continue
			}
			p.Operations[op] = operation.Around(h, func(stock framework.OperationFunc) framework.OperationFunc {
				return func(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
					defer run()
					return stock(ctx, req, data)
				}
			})
		}
	}
}

// anyCluster is an operation without Vault's flag that makes the framework refuse it on
// a secondary: the framework would look at it before it calls.
type anyCluster struct{ framework.OperationHandler }

func (h anyCluster) Properties() framework.OperationProperties {
	p := h.OperationHandler.Properties()
	p.ForwardPerformanceSecondary = false
	return p
}

// decide runs an operation in the row's way.
func (r CorePath) decide(stock framework.OperationFunc, f Forwarder, own Locals) framework.OperationFunc {
	if stock == nil {
		return nil
	}
	return func(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
		way := r.Way
		if way == ByAlias && !own.LocalAlias(operation.Text(data, "id"), operation.Text(data, "mount_accessor")) {
			way = AtOnce
		}
		if err := r.mayMerge(data, own); err != nil {
			return nil, err
		}
		switch way {
		case OnPrimary:
			return nil, r.notPassedOn()
		case HereOrOnPrimary:
			marked, mark := refusal.With(ctx)
			resp, err := stock(marked, req, data)
			if refusedHere(mark, resp, err) || mark.Noted() && err == nil && !resp.IsError() && !makesLocal(req) {
				return nil, r.notPassedOn()
			}
			return resp, err
		case AtOnce:
			return r.send(ctx, req, f)
		default:
			return r.tryHere(ctx, req, data, stock, f, own)
		}
	}
}

// mayMerge refuses a merge that would lose an alias of a local mount.
func (r CorePath) mayMerge(data *framework.FieldData, own Locals) error {
	if !r.Merges {
		return nil
	}
	clash := own.LocalClash(operation.Text(data, "to_entity_id"), operation.Texts(data, "from_entity_ids"),
		operation.Texts(data, "conflicting_alias_ids_to_keep"))
	if clash == "" {
		return nil
	}
	return coded(http.StatusBadRequest, "the entities are not merged, for an entity has one alias on a mount: %s. Delete "+
		"one of them first", clash)
}

// refusedHere says whether a handler of the core reports that it could not write.
func refusedHere(mark *refusal.Mark, resp *logical.Response, err error) bool {
	return isReadOnly(err, false) || mark.Noted() && (mentions(err) || tells(resp))
}

func (r CorePath) notPassedOn() error {
	return coded(http.StatusBadRequest, "this cluster is a performance secondary and does not pass this request on, for "+
		"it %s: send it to the primary cluster", r.Why)
}

// tryHere runs Vault's handler, and asks the primary if the handler could not write. The handler's answer shows this. A
// success during which the guard refused a write means it too, because a handler may swallow the error, unless only
// something local was to be written.
func (r CorePath) tryHere(ctx context.Context, req *logical.Request, data *framework.FieldData,
	stock framework.OperationFunc, f Forwarder, own Locals) (*logical.Response, error) {
	sent := envelope(ctx, r.mount(), req)
	marked, mark := refusal.With(ctx)
	resp, err := stock(marked, req, data)
	// A success about something local counts: Vault then goes on without the default key of OIDC, which is shared.
	swallowed := mark.Noted() && err == nil && !resp.IsError() && !aboutLocal(req, own)
	if !refusedHere(mark, resp, err) && !swallowed {
		return resp, err
	}
	return ask(ctx, f, sent)
}

// aboutLocal says whether a request to sys/ makes or changes something that is
// local to this cluster.
func aboutLocal(req *logical.Request, own Locals) bool {
	if makesLocal(req) {
		return true
	}
	path, ok := target(req)
	return ok && own.LocalMount(path)
}

func (r CorePath) send(ctx context.Context, req *logical.Request, f Forwarder) (*logical.Response, error) {
	return ask(ctx, f, envelope(ctx, r.mount(), req))
}

// mount is the mount of the core's backend, the same on every cluster.
func (r CorePath) mount() vaultname.Mount { return vaultname.Mount{Path: corePrefixes[r.Backend]} }

// tell lets an operation return the error of a backend behind it that could not reach the primary.
func tell(stock framework.OperationFunc) framework.OperationFunc {
	if stock == nil {
		return nil
	}
	return func(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
		resp, err := stock(ctx, req, data)
		if told := asTold(resp, err); told != nil {
			return nil, told
		}
		return resp, err
	}
}
