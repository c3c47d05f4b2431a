// SPDX-License-Identifier: MPL-2.0

package simulation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/plugin/engine"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const primaryAddr = "https://primary.test:8201"

// Set has the records of a replication set: the authority, its registered
// secondaries and their credentials. Making them costs more than a run, so all runs
// share one.
type Set struct {
	mode     replication.Mode
	id       string
	epoch    replication.Epoch
	indexKey fingerprint.Key
	caCert   []byte
	primary  map[string][]byte
	members  []map[string][]byte
	// cuts are names of keys at which the index is cut: one in 256 is. A run with a few dozen
	// of them has as many ranges, and several blocks.
	cuts []string
	// performance is the set of the runs in performance mode; this one is of DR.
	performance *Set
}

// keysMax is how many keys a run has at most.
const keysMax = 72

// cutNames finds names that end a range of the index.
func cutNames(key fingerprint.Key) []string {
	h := fingerprint.NewHasher(key)
	var names []string
	for n := 0; len(names) < keysMax; n++ {
		name := fmt.Sprintf("logical/%c/cut-%05d", 'a'+len(names)%3, n)
		if h.Level(name) >= fingerprint.CutLevel {
			names = append(names, name)
		}
	}
	return names
}

// secondaryID is the id of the secondary with a number.
func secondaryID(i int) string { return fmt.Sprintf("sec%d", i+1) }

// NewSet makes a set with as many secondaries. The clock must be that of the runs.
func NewSet(ctx context.Context, secondaries int) (*Set, error) {
	s, err := newSet(ctx, replication.DR, secondaries)
	if err != nil {
		return nil, err
	}
	s.performance, err = newSet(ctx, replication.Performance, secondaries)
	return s, err
}

func newSet(ctx context.Context, mode replication.Mode, secondaries int) (*Set, error) {
	s := &Set{mode: mode, epoch: replication.Epoch{Generation: 1, ID: "simulated"}, indexKey: fingerprint.Key{1, 2, 3}}
	h := &recordsOnly{state: map[string][]byte{}}
	e := engine.New(engine.Config{Mode: mode}, h, nil)
	begin := func(t *replication.Transition, err error) error {
		if err != nil {
			return err
		}
		maps.Copy(h.state, t.PutState)
		s.id = t.ClusterID
		return e.Start(ctx, replication.StartRequest{Role: t.Role, ClusterID: t.ClusterID})
	}
	if err := e.Start(ctx, replication.StartRequest{Role: replication.Disabled}); err != nil {
		return nil, err
	}
	if err := begin(e.EnablePrimary(ctx, replication.EnablePrimaryRequest{})); err != nil {
		return nil, err
	}
	defer func() { _ = e.Stop(ctx) }()
	for i := range secondaries {
		token, err := e.SecondaryToken(ctx, replication.SecondaryTokenRequest{ID: secondaryID(i)})
		if err != nil {
			return nil, err
		}
		member := engine.New(engine.Config{Mode: mode}, &recordsOnly{state: map[string][]byte{}}, nil)
		if err := member.Start(ctx, replication.StartRequest{Role: replication.Secondary, ClusterID: s.id}); err != nil {
			return nil, err
		}
		t, err := member.UpdatePrimary(ctx, replication.UpdatePrimaryRequest{Bundle: token.Bundle, ID: secondaryID(i)})
		if err != nil {
			return nil, err
		}
		s.members = append(s.members, t.PutState)
	}
	s.primary, s.caCert, s.cuts = h.state, h.caCert, cutNames(s.indexKey)
	return s, nil
}

// recordsOnly is a host that keeps records and nothing else.
type recordsOnly struct {
	replication.Host
	state  map[string][]byte
	caCert []byte
}

func (h *recordsOnly) Node(context.Context) (*replication.Node, error) {
	return &replication.Node{ClusterAddr: primaryAddr, ClusterAddrs: []string{primaryAddr}, Now: time.Now()}, nil
}

func (h *recordsOnly) GetState(_ context.Context, key string) ([]byte, error) {
	return h.state[key], nil
}

func (h *recordsOnly) PutState(_ context.Context, key string, value []byte) error {
	h.state[key] = value
	return nil
}

func (h *recordsOnly) DeleteState(_ context.Context, key string) error {
	delete(h.state, key)
	return nil
}

func (h *recordsOnly) ListState(_ context.Context, prefix string) ([]string, error) {
	var names []string
	for k := range h.state {
		if strings.HasPrefix(k, prefix) {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (h *recordsOnly) Listen(_ context.Context, req replication.ListenRequest) error {
	h.caCert = req.CACert
	return nil
}

func (h *recordsOnly) StopListening(context.Context) error { return nil }
