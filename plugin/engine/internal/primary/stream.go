// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/mirror"
	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

type frameStream = grpc.BidiStreamingServer[linkv1.StreamRequest, linkv1.StreamResponse]

// Stream implements link.v1.
func (s *Server) Stream(st frameStream) error {
	pc, ps, err := s.sessions.of(st.Context())
	if err != nil {
		return err
	}
	first, err := st.Recv()
	if err != nil {
		return err
	}
	if first.GetStart() == nil {
		return replication.Errorf(replication.InvalidInput, "the first message of a stream says where to begin")
	}
	after, err := link.FromPosition(first.GetStart().GetAfter())
	if err != nil {
		return err
	}
	if err := link.CheckProof(first.GetStart().GetProof()); err != nil {
		return err
	}
	running, epoch, done, err := pc.beginStreaming(st.Context())
	if err != nil {
		return err
	}
	defer done()
	if !s.sessions.mayStream() {
		return errSessionOver
	}
	defer s.sessions.words.Done()
	if after.Epoch != epoch {
		return replication.Errorf(replication.PositionLost, "the position %s is of another epoch than the primary's %s",
			after, epoch)
	}
	ctx, cancel := context.WithCancelCause(running)
	defer cancel(nil)
	defer context.AfterFunc(s.leaving, func() { cancel(errDemoted) })()
	credit := newCredit(s.cfg.WindowBytes, s.cfg.WindowFrames, after)
	acks := newAckRelay()
	// Recv ends only after this handler has returned, so the handler cannot wait for it.
	// Stop waits.
	s.background.Go(func() {
		err := s.receiveAcks(st, ps, credit, acks)
		cancel(err)
		var violation *replication.Error
		if errors.As(err, &violation) {
			// A secondary that breaks the protocol may also have stopped reading. Then only
			// this ends the handler.
			s.logger.Warn("ended the session of a secondary", "id", pc.id, "error", err)
			_ = pc.Close()
		}
	})
	s.background.Go(func() { s.relayAcks(ctx, cancel, pc.id, acks) })
	req := replication.ReadJournalRequest{SlotID: pc.id, After: after, Proof: first.GetStart().GetProof()}
	err = s.sendFrames(ctx, st, req, ps, credit)
	if errors.Is(context.Cause(ctx), errDemoted) && pc.bidsFarewell.Load() {
		return bidFarewell(st, pc)
	}
	if ctx.Err() != nil && st.Context().Err() == nil {
		// The cause tells more than the end itself.
		return context.Cause(ctx)
	}
	return err
}

func (s *Server) sendFrames(ctx context.Context, st frameStream, req replication.ReadJournalRequest, ps *peerState,
	credit *credit) error {
	after := req.After
	reader, err := s.host.ReadJournal(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	// A secondary that asks for the rows after a position has all up to it. A primary at
	// rest sends nothing that could be acknowledged.
	s.sessions.acknowledged(ps, after)
	at := after.Sequence
	gathering := &gathering{rate: s.cfg.GatherRate, longest: s.cfg.GatherMax}
	for {
		// The wait is before the read, so that rows that arrive meanwhile share a frame.
		if err := gathering.wait(ctx); err != nil {
			return err
		}
		if err := credit.wait(ctx); err != nil {
			return err
		}
		f, err := reader.Next()
		if err != nil {
			return err
		}
		if err := link.CheckFrame(f); err != nil {
			return replication.Errorf(replication.Internal, "the primary's journal was read wrongly: %w", err)
		}
		if f.To.Epoch != after.Epoch {
			return replication.Errorf(replication.PositionLost, "the primary began a new epoch %s", f.To.Epoch)
		}
		if f.After > at {
			return replication.Errorf(replication.PositionLost, "the journal has no rows between sequence %d and %d", at,
				f.After)
		}
		credit.sent(f)
		gathering.sent(f)
		if err := st.Send(&linkv1.StreamResponse{Frame: mirror.Message[commonv1.Frame](f)}); err != nil {
			return err
		}
		at = f.To.Sequence
	}
}

func (s *Server) receiveAcks(st frameStream, ps *peerState, credit *credit, acks *ackRelay) error {
	for {
		m, err := st.Recv()
		if err != nil {
			return err
		}
		if m.GetAck() == nil {
			return replication.Errorf(replication.InvalidInput, "a stream goes on with acknowledgements alone")
		}
		at, err := link.FromPosition(m.GetAck().GetPosition())
		if err != nil {
			return err
		}
		if err := credit.acknowledge(at); err != nil {
			return err
		}
		proof := m.GetAck().GetProof()
		if err := link.CheckProof(proof); err != nil {
			return err
		}
		acks.put(at, proof)
		s.sessions.acknowledged(ps, at)
	}
}

// ackRelay keeps the newest acknowledgement until it is passed on.
type ackRelay struct {
	mu     sync.Mutex
	at     replication.Position
	proof  replication.Proof
	signal chan struct{}
}

func newAckRelay() *ackRelay { return &ackRelay{signal: make(chan struct{}, 1)} }

func (r *ackRelay) put(at replication.Position, proof replication.Proof) {
	r.mu.Lock()
	r.at, r.proof = at, proof
	r.mu.Unlock()
	select {
	case r.signal <- struct{}{}:
	default:
	}
}

func (r *ackRelay) newest() (replication.Position, replication.Proof) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at, r.proof
}

// relayAcks moves the slot on, at most once each AckInterval. If a call is lost, rows are
// only retained a little longer.
func (s *Server) relayAcks(ctx context.Context, cancel context.CancelCauseFunc, id string, acks *ackRelay) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-acks.signal:
		}
		at, proof := acks.newest()
		if err := s.host.AckSlot(ctx, id, at, proof); err != nil && ctx.Err() == nil {
			switch replication.KindOf(err) {
			case replication.PositionLost, replication.Denied:
				cancel(err)
				return
			case replication.NotFound:
				cancel(replication.Errorf(replication.PositionLost, "the primary no longer retains rows for the secondary %q", id))
				return
			}
			s.logger.Warn("could not move the slot of a secondary on", "id", id, "error", err)
		}
		pause.Reset(s.cfg.AckInterval)
	}
}
