// SPDX-License-Identifier: MPL-2.0

package cable_test

import (
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cable"
	"github.com/vault-replication/vault-replication/integration/procfs"
)

// A parted member does not hear the others, and they do not hear it. From outside all are
// heard. Afterwards nothing was lost.
func TestMeshPartsAMember(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	members := map[int]int{} // by the port that they dial from
	targets := []string{echo(t), echo(t), echo(t)}
	m, err := cable.Weave(3, func(near, far *net.TCPAddr) int {
		if !procfs.Dialled(os.Getpid(), near, far) || procfs.Dialled(os.Getppid(), near, far) {
			t.Error("this process has dialled it and no other")
		}
		mu.Lock()
		defer mu.Unlock()
		if who, ok := members[near.Port]; ok {
			return who
		}
		return -1
	}, func(member int) string { return targets[member] })
	require.NoError(t, err)
	t.Cleanup(m.Close)
	// The mesh asks who has dialled when it accepts the connection. So the port is known
	// before.
	as := func(who, to int) net.Conn {
		mu.Lock()
		defer mu.Unlock()
		conn, err := net.Dial("tcp", m.Addr(to))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		if who >= 0 {
			members[conn.LocalAddr().(*net.TCPAddr).Port] = who
		}
		return conn
	}
	in, out, between, outside := as(1, 0), as(0, 2), as(1, 2), as(-1, 0)
	all := []net.Conn{in, out, between, outside}
	for _, conn := range all {
		answers(t, conn)
	}
	m.Part(0)
	young := as(2, 0)
	answers(t, between)
	answers(t, outside)
	answers(t, as(-1, 0))
	for _, conn := range []net.Conn{in, out, young} {
		_, err := conn.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		_, err = conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, conn.SetReadDeadline(time.Time{}))
	}
	m.Mend(0)
	for _, conn := range []net.Conn{in, out, young} {
		_, err := conn.Read(make([]byte, 1))
		require.NoError(t, err, "what was sent has arrived")
		answers(t, conn)
	}
}
