// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// nodePrefix begins the records of the secondaries' addresses. They are needed when this cluster is gone, and then it
// is too late to ask. So they are stored, because a secondary may be away or may not have come back since this node was
// started.
const nodePrefix = "primary/node/"

func nodeKey(id string) string {
	return nodePrefix + base64.RawURLEncoding.EncodeToString([]byte(id))
}

// nodes are the cluster addresses of the nodes of each secondary.
type nodes struct {
	// writing is held while a record is written. That may take long, and a status must not
	// wait for it.
	writing link.Gate

	mu sync.Mutex
	// byID are the present addresses, stored those in storage.
	byID   map[string][]string
	stored map[string]storedNode
}

type storedNode struct {
	addresses []string
	at        time.Time
}

func (n *nodes) load(ctx context.Context, host replication.Host) error {
	names, err := host.ListState(ctx, nodePrefix)
	if err != nil {
		return err
	}
	byID, stored := map[string][]string{}, map[string]storedNode{}
	for _, name := range names {
		data, err := host.GetState(ctx, name)
		if err != nil {
			return err
		}
		if id, addresses := decodeNode(name, data); len(addresses) > 0 {
			byID[id], stored[id] = addresses, storedNode{addresses: addresses}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byID, n.stored = byID, stored
	return nil
}

// decodeNode reads the record of a secondary's addresses. It returns none if the record
// cannot be used: the secondary tells its addresses again.
func decodeNode(name string, data []byte) (id string, addresses []string) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(name, nodePrefix))
	if err != nil || nodeKey(string(raw)) != name || len(data) > replication.StateValueMax ||
		json.Unmarshal(data, &addresses) != nil {
		return "", nil
	}
	return string(raw), link.MergeAddresses(addresses)
}

// keep writes only what has changed, at most once each NodeInterval. A secondary tells its
// addresses again with each heartbeat.
func (n *nodes) keep(ctx context.Context, host replication.Host, id string, addresses []string) error {
	if len(addresses) == 0 {
		return nil
	}
	due := func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.byID[id] = addresses
		s := n.stored[id]
		return !slices.Equal(s.addresses, addresses) && time.Since(s.at) >= NodeInterval
	}
	if !due() {
		return nil
	}
	if err := n.writing.Enter(ctx); err != nil {
		return err
	}
	defer n.writing.Leave()
	if !due() {
		return nil
	}
	data, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	if err := host.PutState(ctx, nodeKey(id), data); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stored[id] = storedNode{addresses: addresses, at: time.Now()}
	return nil
}

func (n *nodes) forget(ctx context.Context, host replication.Host, id string) error {
	if err := n.writing.Enter(ctx); err != nil {
		return err
	}
	defer n.writing.Leave()
	n.mu.Lock()
	delete(n.byID, id)
	delete(n.stored, id)
	n.mu.Unlock()
	return host.DeleteState(ctx, nodeKey(id))
}

func (n *nodes) of(ids []string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var lists [][]string
	for _, id := range ids {
		lists = append(lists, n.byID[id])
	}
	return link.FailoverAddresses(lists...)
}

// keepNode remembers the addresses of a secondary. A failure to store them does not end the
// session.
func (s *Server) keepNode(ctx context.Context, id string, node link.NodeInfo) {
	if !s.cfg.KeepNodes {
		return
	}
	if err := s.nodes.keep(ctx, s.host, id, node.ClusterAddrs); err != nil {
		s.logger.Warn("could not store the addresses of a secondary", "id", id, "error", err)
	}
}

// FailoverAddrs are the addresses of secondaries that may take this cluster's place,
// connected or not. A heartbeat may have come just before its secondary was revoked, so
// only those of registered secondaries count.
func (s *Server) FailoverAddrs() []string {
	if !s.cfg.KeepNodes {
		return nil
	}
	return s.nodes.of(s.registry.IDs())
}
