// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/internal/lag"
	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// connsPerSecondary bounds the connections that one certificate can hold open.
const connsPerSecondary = 8

// sessions are the connections of all secondaries, and what is known of each secondary.
type sessions struct {
	mu      sync.Mutex
	stopped bool
	conns   map[*peerConn]struct{}
	peers   map[string]*peerState
	// words are held by each stream that still has to tell its secondary of a demotion.
	words sync.WaitGroup
}

func newSessions() *sessions {
	return &sessions{conns: map[*peerConn]struct{}{}, peers: map[string]*peerState{}}
}

// peerState is what is known of a secondary that has or had a session. sessions.mu guards its
// fields.
type peerState struct {
	hello    link.Gate      // not guarded: serialises Hello
	forwards *link.Forwards // not guarded

	conn          *peerConn
	node          link.NodeInfo
	twin          twin
	lastHeartbeat time.Time
	roundTrip     time.Duration
	skew          time.Duration
	applied       replication.Position
	acknowledged  uint64
	displaced     uint64
	lag           lag.Tracker
}

// track notes a connection. It refuses one too many of a secondary.
func (ss *sessions) track(pc *peerConn) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.stopped {
		return replication.Errorf(replication.Unavailable, "this primary is stopping: try again later")
	}
	same := 0
	for c := range ss.conns {
		if c.id == pc.id {
			same++
		}
	}
	if same >= connsPerSecondary {
		return replication.Errorf(replication.Unavailable, "the secondary %q has %d connections already: try again later",
			pc.id, same)
	}
	ss.conns[pc] = struct{}{}
	return nil
}

func (ss *sessions) untrack(pc *peerConn) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.conns, pc)
}

// stop lets no connection and no stream begin any more. It returns the connections.
func (ss *sessions) stop() []*peerConn {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.stopped = true
	return slices.Collect(maps.Keys(ss.conns))
}

// mayStream says whether a stream may begin. If so it holds words.
func (ss *sessions) mayStream() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.stopped {
		return false
	}
	ss.words.Add(1)
	return true
}

// cut closes the connections of a secondary and forgets it.
func (ss *sessions) cut(id string) {
	ss.mu.Lock()
	var conns []*peerConn
	for c := range ss.conns {
		if c.id == id {
			conns = append(conns, c)
		}
	}
	delete(ss.peers, id)
	ss.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// peer is the state of a secondary.
func (ss *sessions) peer(id string) *peerState {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ps, ok := ss.peers[id]
	if !ok {
		ps = &peerState{hello: link.NewGate(), forwards: link.NewForwards(link.Capabilities())}
		ss.peers[id] = ps
	}
	return ps
}

// mayReplace refuses the connection of another cluster under the same id while the secondary's session is live.
func (ss *sessions) mayReplace(ps *peerState, pc *peerConn, node link.NodeInfo) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if _, stands := ss.conns[ps.conn]; !stands || ps.conn == pc || node.ClusterAddr == ps.node.ClusterAddr {
		return nil
	}
	ps.displaced++
	if sameCluster(ps.node, node) {
		return nil
	}
	ps.twin = twin{kept: ps.node.ClusterAddr, refused: node.ClusterAddr, at: time.Now()}
	return ps.twin.error(pc.id)
}

// attach makes a connection the session of its secondary. It returns the older one that is live, which
// the caller closes: after a failover of the secondary, the node that lost would keep the
// slot.
func (ss *sessions) attach(ps *peerState, pc *peerConn, epoch replication.Epoch, node link.NodeInfo) (older *peerConn,
	err error) {
	ss.mu.Lock()
	if _, tracked := ss.conns[pc]; !tracked || ss.stopped || ss.peers[pc.id] != ps {
		ss.mu.Unlock()
		return nil, errSessionOver
	}
	if _, stands := ss.conns[ps.conn]; stands && ps.conn != pc {
		older = ps.conn
	}
	ps.conn, ps.node = pc, node
	pc.known.Store(true)
	ss.mu.Unlock()
	pc.mu.Lock()
	pc.epoch = epoch
	pc.mu.Unlock()
	return older, nil
}

var errSessionOver = replication.Errorf(replication.Unavailable, "this session is over: say Hello again")

// of returns the live session of a call. Unavailable if the secondary has another one by
// now.
func (ss *sessions) of(ctx context.Context) (*peerConn, *peerState, error) {
	pc, err := caller(ctx)
	if err != nil {
		return nil, nil, err
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ps := ss.peers[pc.id]
	if ps == nil || ps.conn != pc {
		return nil, nil, errSessionOver
	}
	return pc, ps, nil
}

// note changes what is known of a secondary.
func (ss *sessions) note(change func()) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	change()
}

func (ss *sessions) acknowledged(ps *peerState, at replication.Position) {
	ss.note(func() { ps.acknowledged, ps.applied = at.Sequence, at })
}

// list are the secondaries that have a session or had one since Start, sorted.
func (ss *sessions) list() []replication.Peer {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	now := time.Now()
	peers := make([]replication.Peer, 0, len(ss.peers))
	for id, ps := range ss.peers {
		connected := false
		if ps.conn != nil {
			_, connected = ss.conns[ps.conn]
		}
		peers = append(peers, replication.Peer{
			NodeID: id, APIAddress: ps.node.APIAddr, ClusterAddress: ps.node.ClusterAddr, Connected: connected,
			LastHeartbeat: ps.lastHeartbeat, LastHeartbeatDuration: ps.roundTrip, ClockSkew: ps.skew,
			CanaryAge: ps.lag.Age(ps.applied, now), Acknowledged: ps.acknowledged,
			Displaced: ps.displaced,
		})
	}
	slices.SortFunc(peers, func(a, b replication.Peer) int { return strings.Compare(a.NodeID, b.NodeID) })
	return peers
}

// apis are the API addresses of all secondaries that have or had a session, but one.
func (ss *sessions) apis(but string) []string {
	var apis []string
	for _, p := range ss.list() {
		if p.NodeID != but {
			apis = append(apis, p.APIAddress)
		}
	}
	return link.APIAddresses(apis)
}
