// SPDX-License-Identifier: MPL-2.0

package forward

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/semaphore"

	"github.com/vault-replication/vault-replication/host/internal/forward/envelope"
	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// ServerOptions are what a server works with; all are required.
type ServerOptions struct {
	// KeyOf is the pairing key of a secondary, an error for one that is revoked.
	KeyOf func(ctx context.Context, secondaryID string) ([]byte, error)
	// SetID is the id of the set now.
	SetID func() string
	// Position is the journal's. It includes every write that was answered.
	Position func() (replication.Position, error)
	Logger   hclog.Logger
}

// Handler does what a kind of call asks for.
type Handler func(ctx context.Context, secondaryID string, body []byte) ([]byte, error)

// underWay bounds the requests under way, of all secondaries together, in bytes as they
// came. A request takes up to eight times as much while it is carried out.
const underWay = 2 * replication.PayloadMax

// Server is the side of the primary.
type Server struct {
	o        ServerOptions
	envelope *envelope.Server
	handlers map[Kind]Handler
	room     *semaphore.Weighted
}

// NewServer makes a server without handlers.
func NewServer(o ServerOptions) *Server {
	return &Server{o: o, envelope: envelope.NewServer(o.SetID, o.KeyOf), handlers: map[Kind]Handler{},
		room: semaphore.NewWeighted(underWay)}
}

// Handle sets what a kind of call does, before the first one is served.
func (s *Server) Handle(kind Kind, h Handler) { s.handlers[kind] = h }

// HandleRequests sets the function that carries out logical requests.
func (s *Server) HandleRequests(h func(ctx context.Context, secondaryID string, req *wire.Request) *wire.Answer) {
	s.Handle(KindRequest, func(ctx context.Context, id string, body []byte) ([]byte, error) {
		req, err := wire.DecodeRequest(body)
		if err != nil {
			return nil, replication.Errorf(replication.InvalidInput, "the forwarded request cannot be read: run the same "+
				"version on both clusters: %w", err)
		}
		return wire.EncodeAnswer(h(ctx, id, req))
	})
}

// Serve answers one sealed message of a secondary.
func (s *Server) Serve(ctx context.Context, secondaryID string, payload []byte) ([]byte, error) {
	if len(payload) > replication.PayloadMax {
		return nil, replication.Errorf(replication.InvalidInput, "the request has %d bytes, more than %d: nothing was "+
			"executed", len(payload), replication.PayloadMax)
	}
	if err := s.room.Acquire(ctx, int64(len(payload))); err != nil {
		return nil, replication.Errorf(replication.Unreachable, "the primary has too many forwarded requests under way: "+
			"try again: %w", err)
	}
	defer s.room.Release(int64(len(payload)))
	answer, err := s.envelope.Serve(ctx, secondaryID, payload, func(ctx context.Context, plain []byte) []byte {
		return s.serve(ctx, secondaryID, plain)
	})
	switch {
	case errors.Is(err, envelope.ErrForged), errors.Is(err, envelope.ErrReplayed), errors.Is(err, envelope.ErrMalformed):
		s.o.Logger.Warn("a forwarded request was refused, and nothing was executed", "secondary", secondaryID, "reason", err)
		return nil, replication.Errorf(replication.Denied, "the primary refused the request: %w", err)
	case err != nil:
		return nil, notLookedAt(err)
	}
	return answer, nil
}

// notLookedAt is the error of a node that is no primary or does not serve. It has not looked at the request.
func notLookedAt(err error) error {
	switch kind := replication.KindOf(err); kind {
	case replication.Denied, replication.Unavailable, replication.Unreachable:
		return err
	default:
		return replication.Errorf(replication.Unreachable, "the primary's node cannot serve now: %w", err)
	}
}

func (s *Server) serve(ctx context.Context, secondaryID string, plain []byte) []byte {
	var h callHeader
	body, err := split(plain, &h)
	if err != nil {
		return s.answer(nil, replication.Errorf(replication.InvalidInput, "the forwarded call cannot be read: run the same "+
			"version on both clusters"), replication.Position{})
	}
	if h.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.Timeout)
		defer cancel()
	}
	before, err := s.o.Position()
	if err != nil {
		return s.answer(nil, notLookedAt(err), replication.Position{})
	}
	out, err := s.call(ctx, secondaryID, h.Kind, body)
	return s.answer(out, err, before)
}

// call runs the handler. A panic of a backend must not end the primary.
func (s *Server) call(ctx context.Context, secondaryID string, kind Kind, body []byte) (out []byte, err error) {
	handle := s.handlers[kind]
	if handle == nil {
		return nil, replication.Errorf(replication.InvalidInput, "the primary does not know calls of the kind %q: run the "+
			"same version on both clusters", kind)
	}
	defer func() {
		if r := recover(); r != nil {
			s.o.Logger.Error("a forwarded call ended in a panic", "secondary", secondaryID, "kind", kind, "panic", r, "stack",
				string(debug.Stack()))
			out, err = nil, replication.Errorf(replication.Internal, "the primary failed while it carried out the request: "+
				"see its log")
		}
	}()
	return handle(ctx, secondaryID, body)
}

func (s *Server) answer(body []byte, err error, before replication.Position) []byte {
	h := answerHeader{}
	if after, perr := s.o.Position(); perr == nil {
		h.Wrote, h.At = after != before, after
	}
	if err == nil && len(body) > bodyMax {
		err = replication.Errorf(replication.Internal, "the answer has %d bytes, more than the %d that can be brought to a "+
			"secondary: ask the primary itself", len(body), bodyMax)
	}
	if err != nil {
		h.Failed, h.ErrorKind, h.Error = true, replication.KindOf(err), err.Error()
		body = nil
	}
	out, err := join(h, body)
	if err != nil {
		s.o.Logger.Error("an answer could not be made", "error", err)
	}
	return out
}
