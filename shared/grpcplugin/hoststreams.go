// SPDX-License-Identifier: MPL-2.0

package grpcplugin

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/vault-replication/vault-replication/shared/mirror"
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
			Message: &replicationv1.DialRequest_Target{Target: mirror.Message[replicationv1.DialTarget](&req)}})
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
	conn, err := s.host.Dial(ctx, *mirror.Value[replication.DialRequest](target))
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
			Start: mirror.Message[replicationv1.JournalStart](&req),
		}})
		_, err = stream.Recv() // the position is retained
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

// frameReader asks for one frame at a time, so that the journal gathers rows for the next frame meanwhile.
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
	return mirror.Value[replication.Frame](res.GetFrame()), check(res)
}

func (r *frameReader) Close() error {
	r.cancel()
	return nil
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
	reader, err := s.host.ReadJournal(stream.Context(), *mirror.Value[replication.ReadJournalRequest](req))
	if err == nil && reader == nil {
		err = missing("journal")
	}
	if err != nil {
		return toStatus(err)
	}
	defer reader.Close()
	// Says that the position is retained, before there is a frame.
	if err := stream.Send(&replicationv1.ReadJournalResponse{}); err != nil {
		return err
	}
	for {
		// Read a frame only when the plugin asks for it. If it were read early it would have one row, and each later row
		// would have a frame of its own.
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.GetNext() == nil:
			return toStatus(replication.Errorf(replication.InvalidInput, "ReadJournal goes on with requests for a frame alone"))
		}
		f, err := present[commonv1.Frame](reader.Next())
		res, err := done(&replicationv1.ReadJournalResponse{Frame: f}, err)
		if err != nil {
			return err
		}
		if err := stream.Send(res); err != nil {
			return err
		}
	}
}
