// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports are below the range that the kernel takes for outgoing connections. Any client
// could take a port from that range while its server is down between two starts. The kernel
// decides when the server binds; a node that loses that race is started on other ports.
const (
	portFirst = 14000
	portLast  = 31999
)

var ports struct {
	sync.Mutex
	taken map[int]bool
}

// ReservePort gives a port of 127.0.0.1 that nothing listens on and that no other
// caller in this process has; ReleasePort gives it back.
func ReservePort() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.taken == nil {
		ports.taken = map[int]bool{}
	}
	for range 1000 {
		port := portFirst + rand.IntN(portLast-portFirst+1)
		if ports.taken[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return 0, err
		}
		ports.taken[port] = true
		return port, nil
	}
	return 0, errors.New("no free port on 127.0.0.1")
}

// ReleasePort gives a port of ReservePort back.
func ReleasePort(port int) {
	ports.Lock()
	defer ports.Unlock()
	delete(ports.taken, port)
}
