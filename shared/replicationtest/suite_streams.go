// SPDX-License-Identifier: MPL-2.0

package replicationtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Frames is a replication.FrameReader of functions.
type Frames struct {
	NextFunc  func() (*replication.Frame, error)
	CloseFunc func() error
}

// Next implements [replication.FrameReader].
func (f Frames) Next() (*replication.Frame, error) { return f.NextFunc() }

// Close implements [replication.FrameReader].
func (f Frames) Close() error {
	if f.CloseFunc == nil {
		return nil
	}
	return f.CloseFunc()
}

func frameOf(sequence uint64) *replication.Frame {
	f := probeFrame()
	f.After, f.To.Sequence = sequence-1, sequence
	return f
}

// The plugin asks for a frame after it has acknowledged the one before. A
// transport that reads ahead is found out, and one that collects frames waits for
// ever.
func testFrames(t *testing.T, connect Connect) {
	const last = 20
	acked := make(chan uint64, 1)
	acked <- 0
	closed := make(chan struct{})
	var next uint64
	b := connect(t, &Host{
		ReadJournalFunc: func(_ context.Context, req replication.ReadJournalRequest) (replication.FrameReader, error) {
			if req.SlotID != "slot" || req.After != probePosition() || !equal(req.Proof, probeProof()) {
				return nil, errors.New("the request arrived changed")
			}
			return Frames{
				NextFunc: func() (*replication.Frame, error) {
					select {
					case got := <-acked:
						if got != next {
							return nil, errors.New("frames out of order")
						}
					default:
						return nil, errors.New("a frame was read before it was wanted")
					}
					if next == last {
						return nil, replication.Errorf(replication.StorageFailed, "all was read")
					}
					next++
					return frameOf(next), nil
				},
				CloseFunc: func() error { close(closed); return nil },
			}, nil
		},
		AckSlotFunc: func(_ context.Context, _ string, at replication.Position, _ replication.Proof) error {
			acked <- at.Sequence
			return nil
		},
	})
	_, err := command(t, b, "host ReadJournal")
	requireError(t, err, replication.StorageFailed, "all was read")
	<-closed
}

func testPositionLost(t *testing.T, connect Connect) {
	b := connect(t, &Host{
		ReadJournalFunc: func(context.Context, replication.ReadJournalRequest) (replication.FrameReader, error) {
			var n uint64
			return Frames{NextFunc: func() (*replication.Frame, error) {
				if n++; n > 2 {
					return nil, replication.Errorf(replication.PositionLost, "the slot is lost")
				}
				return frameOf(n), nil
			}}, nil
		},
		AckSlotFunc: func(context.Context, string, replication.Position, replication.Proof) error { return nil },
	})
	_, err := command(t, b, "host ReadJournal")
	requireError(t, err, replication.PositionLost, "the slot is lost")
}

func testCancelJournal(t *testing.T, connect Connect) {
	reading, closed := make(chan struct{}), make(chan struct{})
	b := connect(t, &Host{ReadJournalFunc: func(ctx context.Context, _ replication.ReadJournalRequest) (
		replication.FrameReader, error) {
		return Frames{
			NextFunc:  func() (*replication.Frame, error) { close(reading); <-ctx.Done(); return nil, ctx.Err() },
			CloseFunc: func() error { close(closed); return nil },
		}, nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reading; cancel() }()
	_, err := b.EnablePrimary(ctx, replication.EnablePrimaryRequest{PrimaryClusterAddr: "host ReadJournal"})
	require.ErrorIs(t, err, context.Canceled)
	<-closed
}

// tcpPair makes a connection of two ends.
func tcpPair() (near, far *net.TCPConn, err error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // on loopback, at once
	if err != nil {
		return nil, nil, err
	}
	defer lis.Close()
	dialled, err := net.Dial("tcp", lis.Addr().String()) //nolint:noctx // on loopback, at once
	if err != nil {
		return nil, nil, err
	}
	accepted, err := lis.Accept()
	if err != nil {
		dialled.Close()
		return nil, nil, err
	}
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn), nil
}

// echoDial is a Host.Dial whose far end answers with what it heard.
func echoDial(_ context.Context, req replication.DialRequest) (net.Conn, error) {
	if !equal(req, probeDial()) {
		return nil, errors.New("the request arrived changed")
	}
	near, far, err := tcpPair()
	if err != nil {
		return nil, err
	}
	go func() {
		defer far.Close()
		_, _ = io.Copy(far, far)
	}()
	return near, nil
}

func testDial(t *testing.T, connect Connect) {
	tr, err := command(t, connect(t, &Host{DialFunc: echoDial}), "host Dial")
	require.NoError(t, err)
	require.Equal(t, "true", string(tr.PutState["result"]))
}

func testManyConns(t *testing.T, connect Connect) {
	b := connect(t, &Host{DialFunc: echoDial})
	errs := make(chan error)
	for range 16 {
		go func() {
			_, err := command(t, b, "host Dial")
			errs <- err
		}()
	}
	for range 16 {
		require.NoError(t, <-errs)
	}
}

func testDialErrors(t *testing.T, connect Connect) {
	for _, kind := range []replication.Kind{replication.Unreachable, replication.Denied} {
		b := connect(t, &Host{DialFunc: func(context.Context, replication.DialRequest) (net.Conn, error) {
			return nil, replication.Errorf(kind, "nobody is there")
		}})
		_, err := command(t, b, "host Dial")
		requireError(t, err, kind, "nobody is there")
	}
}

// The other cluster closes at once: the plugin must not wait for it.
func testDialPeerCloses(t *testing.T, connect Connect) {
	b := connect(t, &Host{DialFunc: func(context.Context, replication.DialRequest) (net.Conn, error) {
		near, far, err := tcpPair()
		if err != nil {
			return nil, err
		}
		return near, far.Close()
	}})
	tr, err := command(t, b, "host Dial")
	if err == nil {
		require.Equal(t, "false", string(tr.PutState["result"]))
	}
}

func testServeConn(t *testing.T, connect Connect) {
	b := connect(t, &Host{})
	near, far, err := tcpPair()
	require.NoError(t, err)
	defer near.Close()
	served := make(chan error, 1)
	go func() { served <- b.ServeConn(t.Context(), far, replication.PeerInfo{RemoteAddr: "peer"}) }()
	question := bytes.Repeat([]byte("question"), 1<<17)
	go func() {
		_, _ = near.Write(question)
		_ = near.CloseWrite()
	}()
	answer, err := io.ReadAll(near)
	require.NoError(t, err)
	require.True(t, bytes.Equal(question, answer))
	require.NoError(t, <-served)
}

func testServeConnError(t *testing.T, connect Connect) {
	b := connect(t, &Host{})
	near, far, err := tcpPair()
	require.NoError(t, err)
	defer near.Close()
	defer far.Close()
	err = b.ServeConn(t.Context(), far, replication.PeerInfo{Certificate: []byte{1, 2, 3}, RemoteAddr: "denied"})
	requireError(t, err, replication.Denied, "the certificate of 3 bytes was revoked")
}

func testServeConnCancel(t *testing.T, connect Connect) {
	b := connect(t, &Host{})
	near, far, err := tcpPair()
	require.NoError(t, err)
	defer near.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := context.AfterFunc(ctx, func() { far.Close() }) // in memory the probe sees nothing but its connection
	defer stop()
	served := make(chan error, 1)
	go func() { served <- b.ServeConn(ctx, far, replication.PeerInfo{RemoteAddr: "peer"}) }()
	_, err = near.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(near, make([]byte, 1))
	require.NoError(t, err)
	cancel()
	t.Logf("the connection was served: %v", <-served)
	_, err = near.Read(make([]byte, 1))
	require.Error(t, err, "the connection is closed")
}
