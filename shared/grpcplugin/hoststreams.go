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
	f := res.GetFrame().Value()
	if err := checkPayload("frame", f.Payload); err != nil {
		return nil, err
	}
	return f, nil
}

func (r *frameReader) Close() error {
	r.cancel()
	return nil
}
