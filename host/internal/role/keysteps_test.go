// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/cluster"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/shared/replication"
)

var errKilled = errors.New("the process was killed")

// disk outlives the process that writes to it. The process can be killed at a write: lands says whether this write has
// its effect, and no later write has one.
type disk struct {
	mu   sync.Mutex
	rows map[string][]byte
	// left is how many writes are made before the kill, negative for no kill.
	left  int
	lands bool
	dead  bool
	// wrote are the writes since the kill was ordered, by their keys.
	wrote []string
}

func newDisk(rows map[string][]byte) *disk { return &disk{rows: maps.Clone(rows), left: -1} }

// killAt orders the kill.
func (d *disk) killAt(write int, lands bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.lands, d.wrote = write, lands, nil
}

// survivor is what the next process finds.
func (d *disk) survivor() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	return newDisk(d.rows)
}

func (d *disk) killed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

func (d *disk) write(what string, effect func()) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errKilled
	}
	d.wrote = append(d.wrote, what)
	d.dead = d.left == 0
	if d.left > 0 {
		d.left--
	}
	if !d.dead || d.lands {
		effect()
	}
	if d.dead {
		return errKilled
	}
	return nil
}

func (d *disk) Put(_ context.Context, e *physical.Entry) error {
	value := slices.Clone(e.Value)
	return d.write(e.Key, func() { d.rows[e.Key] = value })
}

func (d *disk) Delete(_ context.Context, key string) error {
	return d.write(key, func() { delete(d.rows, key) })
}

func (d *disk) Get(_ context.Context, key string) (*physical.Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	value, ok := d.rows[key]
	switch {
	case d.dead:
		return nil, errKilled
	case !ok:
		return nil, nil
	}
	return &physical.Entry{Key: key, Value: slices.Clone(value)}, nil
}

func (d *disk) List(_ context.Context, prefix string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errKilled
	}
	names := map[string]bool{}
	for key := range d.rows {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			if i := strings.IndexByte(rest, '/'); i >= 0 {
				rest = rest[:i+1]
			}
			names[rest] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// transactional is a disk that makes transactions.
type transactional struct{ *disk }

func (d transactional) Transaction(_ context.Context, txn []*physical.TxnEntry) error {
	var keys []string
	for _, e := range txn {
		keys = append(keys, e.Entry.Key)
	}
	return d.write(strings.Join(keys, "+"), func() {
		for _, e := range txn {
			if e.Operation == physical.PutOperation {
				d.rows[e.Entry.Key] = slices.Clone(e.Entry.Value)
			} else {
				delete(d.rows, e.Entry.Key)
			}
		}
	})
}

// eachKill runs a test on each kind of storage, with a last write that has its effect and with one that has not.
func eachKill(t *testing.T, run func(t *testing.T, k kill)) {
	t.Helper()
	for name, k := range map[string]kill{
		"transactions":               {transactions: true},
		"transactions, write landed": {transactions: true, lands: true},
		"plain":                      {},
		"plain, write landed":        {lands: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The cores end together: each waits for a while.
			k.ends = new(sync.WaitGroup)
			t.Cleanup(k.ends.Wait)
			run(t, k)
		})
	}
}

type kill struct {
	transactions, lands bool
	ends                *sync.WaitGroup
}

func (k kill) store(d *disk) physical.Backend {
	if k.transactions {
		return transactional{d}
	}
	return d
}

// noPlugins are plugins that never run.
type noPlugins struct{}

func (noPlugins) Backend(context.Context, replication.Mode) (replication.Backend, error) {
	return nil, replication.Errorf(replication.Unavailable, "there are no plugins here")
}
func (noPlugins) Running(replication.Mode) replication.Backend { return nil }
func (noPlugins) Trouble(replication.Mode) string              { return "" }

// process is a node on a disk.
type process struct {
	*Controller
	disk *disk
}

// start starts a node, sealed.
func start(t *testing.T, k kill, d *disk) *process {
	t.Helper()
	logger := hclog.NewNullLogger()
	core, err := vault.NewCore(&vault.CoreConfig{Physical: k.store(d), DisableMlock: true, Logger: logger})
	require.NoError(t, err)
	c, err := vaultcore.Attach(core)
	require.NoError(t, err)
	var tap *storage.Tap
	c.InstallStorage(func(inner physical.Backend) physical.Backend {
		tap = storage.New(onestep.Over(inner, false), storage.Options{Alone: AppliedAlone})
		return tap.Backend()
	})
	controller, err := New(Options{
		Core: c, Tap: tap, Store: tap.Inner(), Port: cluster.New(c.ClusterListener, cluster.TLSPolicy{}, logger),
		Logger:     logger,
		OnInactive: func() {},
		Plugins:    func(*Controller) (Plugins, error) { return noPlugins{}, nil },
		Requests:   func(*Controller) Requests { return noRequests{} },
		Serving:    func(*Controller) Serving { return nil },
	})
	require.NoError(t, err)
	p := &process{controller, d}
	t.Cleanup(p.Close)
	t.Cleanup(func() { k.ends.Go(func() { _ = core.ShutdownWait() }) })
	return p
}

// opens says whether a share opens the node.
func (p *process) opens(share []byte) bool {
	open, err := p.core.Unseal(slices.Clone(share))
	return err == nil && open
}

// open starts a node and opens it.
func open(t *testing.T, k kill, d *disk, share []byte) *process {
	t.Helper()
	p := start(t, k, d)
	require.True(t, p.opens(share), "its share opens it")
	return p
}

// request is one of the root token.
func (p *process) request(op logical.Operation, path, token string, data map[string]any) error {
	req := logical.TestRequest(&testing.T{}, op, path)
	req.ClientToken, req.Data = token, data
	resp, err := p.core.HandleRequest(namespace.RootContext(context.Background()), req)
	if err == nil && resp != nil && resp.IsError() {
		err = resp.Error()
	}
	return err
}

// replicated is what DR secondaries get.
func (p *process) replicated(t *testing.T) map[string][]byte {
	t.Helper()
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	out := map[string][]byte{}
	for key, value := range p.disk.rows {
		if p.tap.Classes().Replicated(replication.DR, key) {
			out[key] = value
		}
	}
	return out
}
