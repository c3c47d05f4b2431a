// SPDX-License-Identifier: MPL-2.0

// Package secondary is what a secondary does with its storage, for one mode: it applies the
// frames and ranges of its primary with its cursor, compares its content with the primary's,
// says how far it is, and owes the running core what it has applied.
//
// It writes only through [Writer], the write path, which orders its writes with those of the core, has the index count
// them, and journals them for this cluster's own secondaries. From the storage below it only reads. It knows neither
// the guard nor the journal, and only the sums of the index.
package secondary

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/vault-replication/vault-replication/host/storage/backing"
	"github.com/vault-replication/vault-replication/host/storage/fingerprint"
	"github.com/vault-replication/vault-replication/host/storage/lock"
	"github.com/vault-replication/vault-replication/host/storage/txn"
	"github.com/vault-replication/vault-replication/host/storage/walk"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Writer is the write path, as far as a secondary needs it. Its writes pass the guard.
type Writer interface {
	// Begin returns a commit whose writes are all treated alike, until end is called.
	Begin() (commit txn.Commit, end func())
	// Commit makes the writes of a batch, in one transaction if it fits.
	Commit(ctx context.Context, b *txn.Batch) error
	// DeleteKeys deletes keys in transactions.
	DeleteKeys(ctx context.Context, keys []string) (deleted uint64, err error)
	// Alone says whether a row must not share a transaction with later ones.
	Alone(key string) bool
}

// Listener is told of what is applied; see storage.Observer.
type Listener interface {
	BeforeApply(ctx context.Context, b *txn.Batch) error
	Applied(ctx context.Context, keys []string) (left []string)
}

// Index is the running index of the mode.
type Index interface {
	Sums() *fingerprint.Index
	// Confirmed says that everything in the index was read from the storage since the index began.
	Confirmed() bool
	// Grown says that the content has grown, so that the index may have to be cut anew.
	Grown()
}

// Needs are what a secondary is made of.
type Needs struct {
	Mode   replication.Mode
	Below  *backing.Storage
	Writes Writer
	Duty   *Duty
	// Listener is the present listener. Index is the running index, nil for none.
	Listener func() Listener
	Index    func() Index
}

// Secondary is what a secondary of one mode does: applier applies, comparison compares. Each call holds the turn of
// debt.applying meanwhile. Safe for concurrent use.
type Secondary struct {
	*comparison
	forced atomic.Bool // ForceCopyApplied was called in the apply under way
}

// applier makes the primary's writes durable, in transactions, with the cursor, and sets aside what the storage
// refuses. debt.applying guards its state: the question about missing keys that is under way, and the views without a
// mount.
type applier struct {
	*debt
	asked   asked
	strays  strays
	applies *walk.Walks // walks of ApplyRange; each write ends those that are kept
}

// comparison finds what differs from the primary, and what is missing. debt.applying guards diff and refetch. verifier
// has a lock of its own, which is taken inside that and held while the cursor is written.
type comparison struct {
	*applier
	index    func() Index
	verifier verifier
	diff     *diff
	refetch  refetch
}

// New is the secondary of a mode.
func New(n Needs) *Secondary {
	debt := &debt{below: n.Below, writes: n.Writes, listener: n.Listener, duty: n.Duty, mode: n.Mode,
		applying: make(lock.Turns, 1)}
	applier := &applier{debt: debt, applies: walk.NewWalks()}
	return &Secondary{comparison: &comparison{applier: applier, index: n.Index}}
}

// ForgetListed forgets what directories had.
func (s *Secondary) ForgetListed() { s.applies.Close() }

// Differences is how often in a row the content differed from the primary's. At DifferencesMax a comparison is due.
func (s *Secondary) Differences() int {
	s.verifier.mu.Lock()
	defer s.verifier.mu.Unlock()
	return s.verifier.differs
}

// Duty is the duty of this node, for the secondaries of all modes.
type Duty struct {
	ctx     atomic.Pointer[context.Context]
	telling sync.Mutex // one call of Listener.Applied at a time
}

// NewDuty is a duty that does not end.
func NewDuty() *Duty {
	d := &Duty{}
	d.Begin(context.Background())
	return d
}

// Begin begins the duty that ends with a context. After that nothing more is taken up here: the next active node, even
// this one, builds its core from the storage, which has everything that was applied.
func (d *Duty) Begin(ctx context.Context) { d.ctx.Store(&ctx) }

func (d *Duty) context() context.Context { return *d.ctx.Load() }
