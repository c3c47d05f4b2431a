// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"errors"
	"io"
	"net"

	commonv1 "github.com/vault-replication/vault-replication/shared/proto/common/v1"
	replicationv1 "github.com/vault-replication/vault-replication/shared/proto/replication/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/tunnel"
)

// Dial implements [replication.Host]. As with net.Dialer, ctx bounds the dialling
// and not the connection.
func (c *hostClient) Dial(ctx context.Context, req replication.DialRequest) (net.Conn, error) {
	streamCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	dialling := context.AfterFunc(ctx, cancel)
	stream, err := c.rpc.Dial(streamCtx)
	if err == nil {
		// A Send that fails says io.EOF; Recv has the reason.
		_ = stream.Send(&replicationv1.DialRequest{
			Message: &replicationv1.DialRequest_Target{Target: &replicationv1.DialTarget{
				Address: req.Address, CaCert: req.CACert, ServerName: req.ServerName, Cert: req.Cert, Key: req.Key,
			}}})
	}
	var first *replicationv1.DialResponse
	if err == nil {
		first, err = stream.Recv()
	}
	switch {
	case errors.Is(err, io.EOF), err == nil && first.GetConnected() == nil:
		err = missing("connection")
	case err == nil && !dialling():
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, c.link.err(ctx, err)
	}
	return tunnel.NewConn(dialClientChunks(stream), tunnel.Options{
		Local:  first.GetConnected().GetLocalAddr(),
		Remote: first.GetConnected().GetRemoteAddr(),
		Abort:  cancel,
		MapError: func(err error) error {
			return c.link.err(streamCtx, err)
		},
	}), nil
}

func (s *hostServer) Dial(stream replicationv1.Host_DialServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	target := first.GetTarget()
	if target == nil {
		return toStatus(replication.Errorf(replication.InvalidInput, "the first message of Dial does not say whom to "+
			"connect to"))
	}
	ctx := stream.Context()
	conn, err := s.host.Dial(ctx, replication.DialRequest{
		Address: target.GetAddress(), CACert: target.GetCaCert(), ServerName: target.GetServerName(), Cert: target.GetCert(),
		Key: target.GetKey(),
	})
	if err == nil && conn == nil {
		err = missing("connection")
	}
	if err != nil {
		return toStatus(err)
	}
	err = stream.Send(&replicationv1.DialResponse{Message: &replicationv1.DialResponse_Connected{
		Connected: &replicationv1.Connected{
			LocalAddr: conn.LocalAddr().String(), RemoteAddr: conn.RemoteAddr().String(),
		}}})
	if err != nil {
		conn.Close()
		return err
	}
	return tunnel.Splice(ctx, dialServerChunks(stream), conn)
}

// ReadJournal implements [replication.Host].
func (c *hostClient) ReadJournal(ctx context.Context, req replication.ReadJournalRequest) (replication.FrameReader,
	error) {
	streamCtx, cancel := context.WithCancel(ctx)
	stream, err := c.rpc.ReadJournal(streamCtx)
	if err == nil {
		// A Send that fails says io.EOF; Recv has the reason.
		_ = stream.Send(&replicationv1.ReadJournalRequest{Message: &replicationv1.ReadJournalRequest_Start{
			Start: &replicationv1.JournalStart{SlotId: req.SlotID, After: commonv1.OfPosition(req.After), Proof: req.Proof},
		}})
		_, err = stream.Recv() // the position is held
	}
	if err != nil {
		cancel()
		if errors.Is(err, io.EOF) {
			return nil, missing("journal")
		}
		return nil, c.link.err(ctx, err)
	}
	return &frameReader{ctx: streamCtx, cancel: cancel, stream: stream, link: c.link}, nil
}

// frameReader asks for one frame at a time: the journal gathers rows for the next
// one until then.
type frameReader struct {
	ctx    context.Context
	cancel context.CancelFunc
	stream replicationv1.Host_ReadJournalClient
	link   link
}

func (r *frameReader) Next() (*replication.Frame, error) {
	// A Send that fails says io.EOF; Recv has the reason.
	_ = r.stream.Send(&replicationv1.ReadJournalRequest{Message: &replicationv1.ReadJournalRequest_Next{
		Next: &replicationv1.NextFrame{}}})
	res, err := r.stream.Recv()
	switch {
	case errors.Is(err, io.EOF):
		return nil, replication.Errorf(replication.Unavailable, "%s ended the journal stream: read again from the last "+
			"position", r.link.peer)
	case err != nil:
		return nil, r.link.err(r.ctx, err)
	case res.GetFrame() == nil:
		return nil, missing("frame")
	}
	return res.GetFrame().Value(), check(res)
}

func (r *frameReader) Close() error {
	r.cancel()
	return nil
}

func toFrame(f *replication.Frame) *replicationv1.ReadJournalResponse {
	return &replicationv1.ReadJournalResponse{Frame: commonv1.OfFrame(f)}
}

func (s *hostServer) ReadJournal(stream replicationv1.Host_ReadJournalServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	req := first.GetStart()
	if req == nil {
		return toStatus(replication.Errorf(replication.InvalidInput, "the first message of ReadJournal does not say where "+
			"to begin"))
	}
	if err := check(req); err != nil {
		return toStatus(err)
	}
	reader, err := s.host.ReadJournal(stream.Context(), replication.ReadJournalRequest{
		SlotID: req.GetSlotId(), After: req.GetAfter().Value(), Proof: req.GetProof(),
	})
	if err == nil && reader == nil {
		err = missing("journal")
	}
	if err != nil {
		return toStatus(err)
	}
	defer reader.Close()
	// Tells the caller that it may rely on the position before there is a frame.
	if err := stream.Send(&replicationv1.ReadJournalResponse{}); err != nil {
		return err
	}
	for {
		// Frames are read when they are wanted. A frame that is read early would have one
		// row, and the rows that come meanwhile one frame each.
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.GetNext() == nil:
			return toStatus(replication.Errorf(replication.InvalidInput, "ReadJournal goes on with requests for a frame alone"))
		}
		f, err := reader.Next()
		res, err := reply("frame", toFrame, f, err)
		if err != nil {
			return err
		}
		if err := stream.Send(res); err != nil {
			return err
		}
	}
}
