// SPDX-License-Identifier: MPL-2.0

package tunnel_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/tunnel"
)

// wire is a stream whose other end is the test.
type wire struct{ sent, received chan tunnel.Chunk }

func (w wire) Send(c tunnel.Chunk) error { w.sent <- c; return nil }

func (w wire) Recv() (tunnel.Chunk, error) {
	c, ok := <-w.received
	if !ok {
		return c, io.ErrUnexpectedEOF
	}
	return c, nil
}

// A Close is answered without anybody calling Close, so that the other end need
// not linger.
func TestCloseIsAnswered(t *testing.T) {
	t.Parallel()
	w := wire{sent: make(chan tunnel.Chunk, 4), received: make(chan tunnel.Chunk, 4)}
	conn := tunnel.NewConn(w, tunnel.Options{})
	defer conn.Close()
	w.received <- tunnel.Chunk{Data: []byte("last"), Signal: tunnel.Close}
	<-conn.Done()
	close(w.sent)
	require.Equal(t, tunnel.Chunk{Signal: tunnel.Close}, <-w.sent)
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "last", string(got))
}
