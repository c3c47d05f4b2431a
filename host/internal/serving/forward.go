// SPDX-License-Identifier: MPL-2.0

package serving

import (
	"cmp"
	"context"
	"time"

	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"

	"github.com/vault-replication/vault-replication/host/internal/forward"
	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Receive implements role.Serving.
func (s *Server) Receive(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse, error) {
	ctx, leave, ok := s.Requests.Enter(ctx)
	if !ok {
		return nil, replication.Errorf(replication.Unavailable, "its role is changing")
	}
	defer leave()
	begun := time.Now()
	payload, err := s.server.Serve(ctx, req.SecondaryID, req.Payload)
	if err != nil {
		// The kind was not read, and the secondary is not proven.
		s.carriedOut(forward.KindRequest, "", begun, nil, err)
		return nil, err
	}
	return &replication.ReceiveResponse{Payload: payload}, nil
}

// Do implements [routing.Forwarder].
func (s *Server) Do(ctx context.Context, req *wire.Request) (*wire.Answer, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	req.ClientHeaders = s.headers.of(s.Core.RequestNamed(ctx))
	begun := time.Now()
	answer, err := s.toPrimary().Do(ctx, req)
	var refused error
	if answer != nil {
		refused = answer.Err
	}
	s.asked(forward.KindRequest, begun, refused, err)
	return answer, err
}

// Listens learns from a listener how long its requests may take.
func (s *Server) Listens(l *configutil.Listener) {
	if l == nil || l.Type == "" {
		return // the cluster port: its requests came in at a listener of another node
	}
	limit := int64(cmp.Or(l.MaxRequestDuration, vault.DefaultMaxRequestDuration))
	for {
		old := s.limit.Load()
		if limit <= old || s.limit.CompareAndSwap(old, limit) {
			return
		}
	}
}

// bounded gives a context the deadline of its request, so that the primary learns it. The core gives its backends no
// deadline, but cancels their contexts. Calls of the core itself may take as long as a client's request.
func (s *Server) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	from, ok := s.Core.RequestStarted(ctx)
	if !ok {
		from = time.Now()
	}
	return context.WithDeadline(ctx, from.Add(cmp.Or(time.Duration(s.limit.Load()), vault.DefaultMaxRequestDuration)))
}

// Call implements [entity.Caller].
func (s *Server) Call(ctx context.Context, kind string, body []byte) ([]byte, replication.Position, error) {
	begun := time.Now()
	answer, at, err := s.toPrimary().Call(ctx, forward.Kind(kind), body)
	s.asked(forward.Kind(kind), begun, nil, err)
	return answer, at, err
}

// Wait implements [entity.Waiter].
func (s *Server) Wait(ctx context.Context, at replication.Position) error {
	return s.waited(ctx, at)
}

// toPrimary is the client of the present relation. Its session with the primary's host is of no use for another
// relation.
func (s *Server) toPrimary() *forward.Client {
	set, id, key := s.Set.Relation()
	r := relation{set, id, string(key)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil || s.relation != r {
		s.relation = r
		s.client = forward.NewClient(forward.ClientOptions{
			Carry: s.Set.Forward, Key: key, SetID: set, SecondaryID: id,
			Wrote: s.Set.Forwarded, Wait: s.waited, BestEffortWait: s.BestEffortWait,
		})
	}
	return s.client
}

func (s *Server) afterAuth(ctx context.Context, m vaultname.Mount, req *logical.Request, resp *logical.Response) error {
	return s.entities.AfterAuth(ctx, m, req, resp)
}
