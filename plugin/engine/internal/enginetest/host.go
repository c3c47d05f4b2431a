// SPDX-License-Identifier: MPL-2.0

package enginetest

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Host is the host of one cluster. A call that no test needs panics.
type Host struct {
	replication.Host

	network *Network
	name    string

	mu      sync.Mutex
	changed chan struct{} // closed and made anew with each change
	backend replication.Backend
	addrs   []string
	// failover is what Node tells of them.
	failover []string
	listens  []string
	state    map[string][]byte
	// role is what the API of this cluster says; it says nothing while it is away.
	role replication.RoleAtAnswer
	away bool

	content  map[string]string
	position replication.Position
	rows     []entry
	slots    map[string]replication.Position
	// lost are the slots that were given up.
	lost   map[string]bool
	cursor replication.Cursor
	// copies counts the copies that have begun.
	copies int
	// comparing says that a comparison has begun and not ended.
	comparing bool
	// RangeKeys is how many keys a range has.
	rangeKeys int
	// countless says that the host does not know how many keys it has, silent that it does not
	// tell how many are left after a range.
	countless, silent bool
	// gate, when set, is waited for before a frame or range is applied.
	gate chan struct{}
	// receive is what Receive does.
	receive Receive
	// refuses says which values the storage does not take; missing are the keys that
	// it has refused.
	refuses func(key, value string) bool
	missing map[string]bool
	// untilCopied is what a frame or range is refused with until a copy begins.
	untilCopied error
	fail        map[string]failure
	counts      map[string]int
}

// entry is one row, and one key of a range.
type entry struct {
	Sequence uint64 `json:"seq,omitempty"`
	Key      string `json:"key"`
	Value    string `json:"value,omitempty"`
	Delete   bool   `json:"delete,omitempty"`
}

// NewHost makes the host of a cluster whose node has an address.
func NewHost(network *Network, name, address string) *Host {
	h := &Host{
		network: network, name: name, addrs: []string{address}, listens: []string{address},
		changed: make(chan struct{}), state: map[string][]byte{}, content: map[string]string{},
		slots: map[string]replication.Position{}, lost: map[string]bool{}, rangeKeys: 3,
		missing: map[string]bool{}, fail: map[string]failure{}, counts: map[string]int{},
	}
	network.mu.Lock()
	defer network.mu.Unlock()
	network.apis[h.apiAddr()] = h
	return h
}

// SetBackend says who gets the connections.
func (h *Host) SetBackend(b replication.Backend) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.backend = b
}

// SetAddresses changes the addresses that the node tells; ListenOn those it
// listens on from the next Listen.
func (h *Host) SetAddresses(addrs ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addrs = addrs
}

// SetFailover changes the addresses of the clusters that may take this one's place;
// nil is that they are not known.
func (h *Host) SetFailover(addrs []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failover = addrs
}

// Inherit gives the host what a DR secondary has of its primary when it is promoted:
// content and records, under an epoch of its own.
func (h *Host) Inherit(from *Host, e replication.Epoch) {
	content, state, at := from.Content(), from.State(), from.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.content, h.state, h.position = content, state, at
	h.position.Epoch = e
}

// ListenOn says where the node listens from the next Listen on.
func (h *Host) ListenOn(addrs ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listens = addrs
}

// Fail lets a call fail by name until it is given nil.
func (h *Host) Fail(call string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail[call] = failure{err: err}
}

// FailAfter lets a call fail once it has succeeded n times from now on.
func (h *Host) FailAfter(call string, n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail[call] = failure{after: h.counts[call] + n, err: err}
}

type failure struct {
	after int
	err   error
}

// Hold stops applying until the returned function is called.
func (h *Host) Hold() (release func()) {
	gate := make(chan struct{})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gate = gate
	return func() {
		h.mu.Lock()
		if h.gate == gate { // else it is held anew
			h.gate = nil
		}
		h.mu.Unlock()
		close(gate)
	}
}

// Count is how often a call was made.
func (h *Host) Count(call string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts[call]
}

// called counts a call and answers its failure; it needs mu.
func (h *Host) called(call string) error {
	h.counts[call]++
	if f := h.fail[call]; h.counts[call] > f.after {
		return f.err
	}
	return nil
}

// Receive answers what a secondary has forwarded.
type Receive func(ctx context.Context, secondaryID string, payload []byte) ([]byte, error)

// OnReceive says what Receive does.
func (h *Host) OnReceive(do Receive) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.receive = do
}

// Receive implements replication.Host.
func (h *Host) Receive(ctx context.Context, req replication.ReceiveRequest) (*replication.ReceiveResponse, error) {
	h.mu.Lock()
	err, do := h.called("Receive"), h.receive
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if do == nil {
		return nil, replication.Errorf(replication.Unavailable, "the host receives nothing yet")
	}
	answer, err := do(ctx, req.SecondaryID, req.Payload)
	if err != nil {
		return nil, err
	}
	return &replication.ReceiveResponse{Payload: answer}, nil
}

// Content is a copy of the replicated keys.
func (h *Host) Content() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.content)
}

// State is a copy of the plugin's records.
func (h *Host) State() map[string][]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.state)
}

// Node implements replication.Host.
func (h *Host) Node(context.Context) (*replication.Node, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &replication.Node{
		APIAddr: h.apiAddr(), ClusterAddr: h.addrs[0], ClusterAddrs: slices.Clone(h.addrs),
		Failover:    slices.Clone(h.failover),
		ClusterName: h.name, VaultVersion: "1.21.1", Now: time.Now(),
	}, h.called("Node")
}

// GetState implements replication.Host.
func (h *Host) GetState(_ context.Context, key string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.state[key]), h.called("GetState")
}

// PutState implements replication.Host.
func (h *Host) PutState(_ context.Context, key string, value []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("PutState"); err != nil {
		return err
	}
	if len(key) > replication.StateKeyMax || len(value) > replication.StateValueMax {
		return replication.Errorf(replication.InvalidInput, "the record %q is too large", key)
	}
	h.state[key] = slices.Clone(value)
	return nil
}

// DeleteState implements replication.Host.
func (h *Host) DeleteState(_ context.Context, key string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.called("DeleteState"); err != nil {
		return err
	}
	delete(h.state, key)
	return nil
}

// ListState implements replication.Host.
func (h *Host) ListState(_ context.Context, prefix string) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for k := range h.state {
		if strings.HasPrefix(k, prefix) {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	return names, h.called("ListState")
}

// Listen implements replication.Host.
func (h *Host) Listen(_ context.Context, req replication.ListenRequest) error {
	h.mu.Lock()
	addrs, err := slices.Clone(h.listens), h.called("Listen")
	h.mu.Unlock()
	if err != nil {
		return err
	}
	return h.network.listen(addrs, h, req)
}

// StopListening implements replication.Host.
func (h *Host) StopListening(context.Context) error {
	h.network.stopListening(h)
	return nil
}

// Dial implements replication.Host.
func (h *Host) Dial(ctx context.Context, req replication.DialRequest) (net.Conn, error) {
	h.mu.Lock()
	err := h.called("Dial")
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return h.network.dial(ctx, req)
}

// apiAddr is that of the API of this cluster.
func (h *Host) apiAddr() string { return "https://" + h.name + ".test:8200" }

// SetRole says what the API of this cluster answers without a change of role.
func (h *Host) SetRole(a replication.RoleAtAnswer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.role = a
}

// HideAPI keeps the API of this cluster from answering, or lets it answer again.
func (h *Host) HideAPI(away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = away
}

// RoleAt implements replication.Host.
func (h *Host) RoleAt(_ context.Context, apiAddr string) (*replication.RoleAtAnswer, error) {
	h.mu.Lock()
	err := h.called("RoleAt")
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if other := h.network.apiOf(apiAddr); other != nil {
		other.mu.Lock()
		defer other.mu.Unlock()
		if a := other.role; a.Role != "" && !other.away {
			return &a, nil
		}
	}
	return nil, replication.Errorf(replication.Unreachable, "nothing says a role at %s", apiAddr)
}

// accept does what the cluster port does.
func (h *Host) accept(conn *tls.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	err := conn.HandshakeContext(ctx)
	cancel()
	h.mu.Lock()
	backend := h.backend
	h.mu.Unlock()
	if err == nil && backend != nil {
		leaf := conn.ConnectionState().PeerCertificates[0].Raw
		_ = backend.ServeConn(context.Background(), conn, replication.PeerInfo{Certificate: leaf, RemoteAddr: "pipe"})
	}
	_ = conn.Close()
}
