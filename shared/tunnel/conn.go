// SPDX-License-Identifier: MPL-2.0

package tunnel

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Options describe a [Conn]. The zero value has a meaning.
type Options struct {
	// LocalAddr and RemoteAddr return Local and Remote.
	Local, Remote string
	// Abort cuts the stream, so that Send and Recv return. It is called once, when
	// the connection is done with the stream. Nil when the stream is cut
	// otherwise, such as by returning from the gRPC handler.
	Abort func()
	// MapError turns an error of the stream into the one that Read and Write
	// return; nil returns it as it is.
	MapError func(error) error
}

// Conn is a net.Conn over a [Stream]. As with TCP, Write returns when the bytes
// are buffered, Close delivers them in the background, and CloseWrite
// half-closes.
type Conn struct {
	stream Stream
	opts   Options
	in     *inbox
	out    *outbox
	done   chan struct{}
	once   sync.Once

	refused atomic.Pointer[string]
}

var (
	_ net.Conn = (*Conn)(nil)
	_ Refuser  = (*Conn)(nil)
)

// Refused implements [Refuser].
func (c *Conn) Refused() string {
	if why := c.refused.Load(); why != nil {
		return *why
	}
	return ""
}

// NewConn makes a connection from a stream, and owns the stream from then on. Close must be called.
func NewConn(stream Stream, opts Options) *Conn {
	if opts.Abort == nil {
		opts.Abort = func() {}
	}
	if opts.MapError == nil {
		opts.MapError = func(err error) error { return err }
	}
	c := &Conn{stream: stream, opts: opts, in: newInbox(), out: newOutbox(), done: make(chan struct{})}
	var loops sync.WaitGroup
	loops.Go(c.receive)
	loops.Go(c.send)
	go func() {
		loops.Wait()
		opts.Abort()
		close(c.done)
	}()
	return c
}

// receive moves chunks from the stream to the inbox, until the other end closes.
func (c *Conn) receive() {
	for {
		chunk, err := c.stream.Recv()
		if err != nil {
			err = c.opts.MapError(err)
			if errors.Is(err, io.EOF) {
				// Without a Close the end of the stream is no end of the data.
				err = io.ErrUnexpectedEOF
			}
			c.in.finish(err)
			c.out.fail(err, false)
			return
		}
		c.in.push(chunk.Data)
		switch chunk.Signal {
		case Fin:
			c.in.finish(io.EOF)
		case Close:
			if why := chunk.Refused; why != "" {
				why = why[:min(len(why), refusedMax)]
				c.refused.Store(&why)
			}
			c.in.finish(io.EOF)
			c.out.fail(syscall.EPIPE, true)
			return
		case More:
		}
	}
}

// send moves written data to the stream, until the connection is closed.
func (c *Conn) send() {
	var buf []byte // grows with the writes, so that an idle connection costs little
	for {
		chunk, send, more := c.out.take(buf)
		if send {
			if err := c.stream.Send(chunk); err != nil {
				// Recv tells why the stream broke; Send only that it did.
				c.out.fail(c.opts.MapError(err), false)
				return
			}
		}
		if !more {
			return
		}
		buf = chunk.Data
	}
}

// Read reads what the other end wrote. io.EOF after the other end half-closed or
// closed, os.ErrDeadlineExceeded after the read deadline.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.opError("read", err)
}

// Write buffers p, waiting while the other end does not read.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.opError("write", err)
}

// CloseWrite says to the other end that nothing more is written.
func (c *Conn) CloseWrite() error { return c.opError("close", c.out.finish()) }

// Close ends Read and Write at once and delivers in the background, for up to
// [Linger], what was written.
func (c *Conn) Close() error {
	c.once.Do(func() {
		c.in.close()
		c.out.close()
		cut := time.AfterFunc(Linger, c.opts.Abort)
		go func() {
			<-c.done
			cut.Stop()
		}()
	})
	return nil
}

// Done is closed when the connection has no more use for the stream.
func (c *Conn) Done() <-chan struct{} { return c.done }

// LocalAddr is the local address from the options.
func (c *Conn) LocalAddr() net.Addr { return Addr(c.opts.Local) }

// RemoteAddr is the remote address from the options.
func (c *Conn) RemoteAddr() net.Addr { return Addr(c.opts.Remote) }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds present and future Reads; the zero time does not.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.opError("set", c.in.setDeadline(t))
}

// SetWriteDeadline bounds present and future Writes; the zero time does not.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.opError("set", c.out.setDeadline(t))
}

func (c *Conn) opError(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // only the bare one is the end
		return err // io.EOF is compared, not unwrapped, by most readers
	}
	return &net.OpError{Op: op, Net: Addr("").Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Addr is the address of one end of a connection, as the host named it.
type Addr string

// Network is "tunnel".
func (Addr) Network() string { return "tunnel" }

func (a Addr) String() string { return string(a) }
