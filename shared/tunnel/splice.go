// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// Splice joins a connection to a stream: what is read from one is written to the other,
// half-closes and closes included. It closes conn and returns when both ends have closed,
// or with the stream's error when the stream was cut. The end of ctx closes conn at once.
// ctx must last at least as long as the stream.
//
// It is the end of a tunnel for a side that has a real connection. It needs none of the
// buffers and goroutines of a [Conn].
func Splice(ctx context.Context, stream Stream, conn net.Conn) error {
	s := &splice{stream: stream, conn: conn, ended: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()

	var sender sync.WaitGroup
	sender.Go(s.send)
	err := s.receive()
	s.end()
	if err != nil {
		conn.Close()
	}
	sender.Wait()
	return err
}

type splice struct {
	stream Stream
	conn   net.Conn
	once   sync.Once
	ended  chan struct{} // closed when no more data comes from the stream
}

func (s *splice) end() { s.once.Do(func() { close(s.ended) }) }

// send alone sends on the stream, because a stream allows one sender.
func (s *splice) send() {
	buf := make([]byte, ChunkSize)
	for {
		n, err := s.conn.Read(buf)
		if n > 0 {
			if s.stream.Send(Chunk{Data: buf[:n]}) != nil {
				s.conn.Close() // the receiver learns the reason
				return
			}
		}
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF):
			// Half-closed: the other direction goes on.
			if s.stream.Send(Chunk{Signal: Fin}) != nil {
				return
			}
			<-s.ended
		}
		// The receiver tells of a failure to send, because the stream is cut then.
		end := Chunk{Signal: Close}
		if r, ok := s.conn.(Refuser); ok {
			end.Refused = r.Refused()
		}
		_ = s.stream.Send(end)
		return
	}
}

func (s *splice) receive() error {
	broken := false
	for {
		chunk, err := s.stream.Recv()
		if err != nil {
			return err
		}
		if len(chunk.Data) > 0 && !broken {
			if _, err := s.conn.Write(chunk.Data); err != nil {
				// Closing makes send say Close. Until the other end has answered,
				// what it still sends is dropped.
				broken = true
				s.conn.Close()
				s.end()
			}
		}
		switch chunk.Signal {
		case Fin:
			if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite() // fails only when conn is closed already
			}
			s.end()
		case Close:
			s.conn.Close()
			return nil
		case More:
		}
	}
}
