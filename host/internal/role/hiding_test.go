// SPDX-License-Identifier: MPL-2.0

package role

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/helper/namespace"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/filter"
	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/role/mounts"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/onestep"
	"github.com/vault-replication/vault-replication/shared/replication"
)

const perf = replication.Performance

var (
	epoch  = replication.Epoch{Generation: 1, ID: "e"}
	at     = replication.Position{Epoch: epoch, Sequence: 7}
	deny   = &filter.Filter{Rule: filter.Rule{Mode: filter.Deny, Paths: []string{"secret/"}}}
	denyNo = &filter.Filter{Rule: filter.Rule{Mode: filter.Deny, Paths: []string{"other/"}}}
)

// standing is a performance secondary in front of a real core.
type standing struct {
	*Controller
	secret string   // the UUID of the mount secret/
	lacks  []string // what it says that it lacks

	mu   sync.Mutex
	told [][]string
}

func (s *standing) Applied(_ context.Context, keys []string) (left []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, slices.Clone(keys))
	return nil
}

func (s *standing) Receive(context.Context, replication.ReceiveRequest) (*replication.ReceiveResponse, error) {
	return nil, errors.New("not in this test")
}

func (s *standing) Lacks() []string { return s.lacks }

func (s *standing) shown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.told, func(keys []string) bool {
		return len(keys) >= 2 && slices.Equal(keys[len(keys)-2:], mounts.SharedTables)
	})
}

// plugins gives a plugin that says yes to everything that it is asked here.
type plugins struct{}

func (plugins) Backend(context.Context, replication.Mode) (replication.Backend, error) {
	return plugin{}, nil
}
func (plugins) Running(replication.Mode) replication.Backend { return nil }
func (plugins) Trouble(replication.Mode) string              { return "" }

type plugin struct{ replication.Backend }

func (plugin) Start(context.Context, replication.StartRequest) error { return nil }
func (plugin) Recover(context.Context) error                         { return nil }
func (plugin) UpdatePrimary(_ context.Context, req replication.UpdatePrimaryRequest) (*replication.Transition, error) {
	t := &replication.Transition{Role: replication.Secondary}
	if len(req.Bundle) > 0 {
		// In this test the bundle is the material that the primary hands over.
		var m handover.Material
		if err := json.Unmarshal(req.Bundle, &m); err != nil {
			return nil, err
		}
		sealed, err := handover.Seal(pairingOfC, handover.Binding{Mode: perf, SetID: m.SetID, SecondaryID: req.ID,
			Challenge: req.Challenge}, &m)
		if err != nil {
			return nil, err
		}
		t.Handover = &replication.Handover{Sealed: sealed}
	}
	return t, nil
}

// pairingOfC is the pairing key of an activation token for the id c.
var pairingOfC = bytes.Repeat([]byte{2}, handover.PairingKeySize)

// activationOf is a token of a cluster that claims a set's id and has an index key.
func activationOf(t *testing.T, setID string, indexKey []byte) *activation.Payload {
	t.Helper()
	bundle, err := json.Marshal(&handover.Material{
		SetID: setID, Epoch: replication.Epoch{Generation: 9, ID: "nine"}, IndexKey: indexKey, RootKey: []byte("root"),
		Rows: map[string][]byte{"core/keyring": []byte("ring")},
	})
	require.NoError(t, err)
	return &activation.Payload{Mode: perf, ClusterID: setID, ID: "c", PairingKey: pairingOfC, Bundle: bundle}
}

// noRequests stands for a server without requests of clients.
type noRequests struct{}

func (noRequests) Hold() (empty, open func()) { return func() {}, func() {} }

// appliedOnly tells a controller of what was applied.
type appliedOnly struct {
	storage.Nobody
	observer *observer
}

func (a appliedOnly) Applied(ctx context.Context, keys []string) []string {
	return a.observer.Applied(ctx, keys)
}

func newStanding(t *testing.T) *standing {
	t.Helper()
	ctx := t.Context()
	raw := vault.TestCore(t)
	core, err := vaultcore.Attach(raw)
	require.NoError(t, err)
	s := &standing{Controller: &Controller{
		core: core, logger: hclog.NewNullLogger(), roles: &roles{record: disabledRecord(), duty: ctx},
	}, secret: "5ec7e7"}
	*s.roles.record.mode(perf) = drSecondary().DR
	core.InstallStorage(func(inner physical.Backend) physical.Backend {
		s.store = onestep.Over(inner, false)
		s.tap = storage.New(s.store, storage.Options{})
		s.addParts(nil)
		s.sessions.plugins, s.storage.serving, s.secondary.losses.serving = plugins{}, s, s
		s.changes.requests, s.copies.requests = noRequests{}, noRequests{}
		s.tap.Observe(appliedOnly{observer: s.storage})
		return s.tap.Backend()
	})
	s.steps.attach(core, s.store)
	t.Cleanup(s.Close)
	t.Cleanup(func() { _ = s.tap.Close(context.Background()) })
	shares, _ := vault.TestCoreInit(t, raw)
	for _, share := range shares {
		_, err := vault.TestCoreUnseal(raw, vault.TestKeyCopy(share))
		require.NoError(t, err)
	}
	table, err := json.Marshal(&vault.MountTable{Type: "mounts", Entries: []*vault.MountEntry{
		{Table: "mounts", Path: "secret/", Type: "kv", UUID: s.secret, NamespaceID: namespace.RootNamespaceID},
	}})
	require.NoError(t, err)
	require.NoError(t, core.PutEntry(ctx, "core/mounts", table))
	s.stands(t, journal.Cursor{Position: at})
	s.filter(t, "b", deny)
	s.starts(t)
	require.True(t, s.term.hiding.Hides("secret/", s.secret))
	return s
}

// starts does what an unseal does. It forgets what the process knew.
func (s *standing) starts(t *testing.T) {
	t.Helper()
	s.term.hiding.Forget()
	require.NoError(t, s.term.hiding.Load(t.Context(), s.roles.Record().Performance.SecondaryID))
	require.NoError(t, s.term.hiding.Settle(t.Context()))
}

func (s *standing) filter(t *testing.T, id string, f *filter.Filter) {
	t.Helper()
	raw, err := f.Encode()
	require.NoError(t, err)
	require.NoError(t, s.core.PutEntry(t.Context(), filters.Key(id), raw))
}

func (s *standing) stands(t *testing.T, c journal.Cursor) {
	t.Helper()
	raw, err := c.Encode()
	require.NoError(t, err)
	require.NoError(t, s.store.Put(t.Context(), &physical.Entry{Key: journal.CursorKey(perf), Value: raw}))
}

func (s *standing) mustCopy(t *testing.T) bool {
	t.Helper()
	raw, err := s.store.Get(t.Context(), journal.CursorKey(perf))
	require.NoError(t, err)
	c, err := journal.DecodeCursor(raw.Value)
	require.NoError(t, err)
	return c.MustCopy
}

// copyEnds begins a copy, runs meanwhile, and ends the copy.
func (s *standing) copyEnds(t *testing.T, meanwhile func()) {
	t.Helper()
	s.stands(t, journal.Cursor{Position: at, Copying: true, CopyFrom: at, CopiedAll: true})
	meanwhile()
	_, err := s.tap.Secondary(perf).EndCopy(t.Context())
	require.NoError(t, err)
	s.copies.ended(perf)
}

// The filter lets in a mount during a copy. The mount is shown after the next copy, not after the one under way.
func TestWidenedDuringACopy(t *testing.T) {
	s := newStanding(t)
	s.copyEnds(t, func() {
		s.filter(t, "b", denyNo)
		s.storage.Applied(t.Context(), []string{filters.Key("b")})
	})
	require.True(t, s.term.hiding.Hides("secret/", s.secret), "what the copy has brought may lack its content")
	require.True(t, s.mustCopy(t))
	s.copyEnds(t, func() {})
	require.False(t, s.term.hiding.Hides("secret/", s.secret))
	require.Eventually(t, s.shown, 30*time.Second, time.Millisecond)
	s.starts(t)
	require.False(t, s.term.hiding.Hides("secret/", s.secret))
	require.False(t, s.mustCopy(t))
}

// The same during the first copy: the secondary does not serve until a copy has brought everything.
func TestWidenedDuringTheFirstCopy(t *testing.T) {
	s := newStanding(t)
	s.roles.bootstrapping.Store(true)
	s.stands(t, journal.Cursor{Copying: true, CopyFrom: at})
	s.filter(t, "b", denyNo)
	s.storage.Applied(t.Context(), []string{filters.Key("b")})
	require.True(t, s.mustCopy(t))
	require.True(t, s.term.hiding.Hides("secret/", s.secret))
	s.starts(t)
	require.True(t, s.term.hiding.Hides("secret/", s.secret))
}

// A secondary may be killed anywhere between the apply of the filter and the copy. After the next start it copies, and
// it shows nothing before that.
func TestWidenedAndKilled(t *testing.T) {
	s := newStanding(t)
	// Nobody has looked at it.
	s.filter(t, "b", denyNo)
	s.starts(t)
	require.True(t, s.term.hiding.Hides("secret/", s.secret))
	require.True(t, s.mustCopy(t))
	// The awaited mounts are known, and no copy is forced yet.
	s.stands(t, journal.Cursor{Position: at})
	s.starts(t)
	require.True(t, s.term.hiding.Hides("secret/", s.secret))
	require.True(t, s.mustCopy(t))
	// The copy that brings them goes on after a start and is not made twice.
	s.stands(t, journal.Cursor{Position: at, Copying: true, CopyFrom: at})
	s.starts(t)
	require.False(t, s.mustCopy(t))
	// It was under way when the filter came.
	s.copyEnds(t, func() {})
	s.filter(t, "b", deny)
	s.starts(t)
	s.stands(t, journal.Cursor{Position: at, Copying: true, CopyFrom: at})
	s.filter(t, "b", denyNo)
	s.starts(t)
	require.True(t, s.mustCopy(t))
}

// The filter changes and changes back before the secondary looks. Writes in between were left out of the stream, so the
// secondary copies, and shows the mount only after that.
func TestFilterInBetweenThatWasNotSeen(t *testing.T) {
	s := newStanding(t)
	ctx := t.Context()
	changes := func(rules ...filter.Rule) {
		t.Helper()
		for _, r := range rules {
			require.NoError(t, s.term.filters.Put(ctx, "b", r))
		}
		s.storage.Applied(ctx, []string{filters.Key("b")})
	}
	changes(denyNo.Rule)
	s.copyEnds(t, func() {})
	s.stands(t, journal.Cursor{Position: at})
	require.False(t, s.term.hiding.Hides("secret/", s.secret))
	changes(denyNo.Rule)
	require.False(t, s.mustCopy(t), "nothing was hidden in between")

	changes(deny.Rule, denyNo.Rule)
	require.True(t, s.term.hiding.Hides("secret/", s.secret))
	require.True(t, s.mustCopy(t))
	s.copyEnds(t, func() {})
	require.False(t, s.term.hiding.Hides("secret/", s.secret))

	// The same with a filter that existed only for a while.
	changes(filter.Rule{Mode: filter.None})
	s.stands(t, journal.Cursor{Position: at})
	changes(deny.Rule, filter.Rule{Mode: filter.None})
	require.True(t, s.mustCopy(t))
	r, err := s.term.filters.PathsFilter(ctx, "b")
	require.NoError(t, err)
	require.Nil(t, r, "there is no filter now")
	s.starts(t)
	require.True(t, s.term.hiding.Hides("secret/", s.secret), "a restart forgets nothing")
}

// A secondary with a filter compares with its primary when nobody can know whether its storage was changed. It also
// does so if that is found before the node is active. Without a filter its fingerprint shows a change.
func TestDoubtfulStorageIsCompared(t *testing.T) {
	s := newStanding(t)
	for what, doubt := range map[string]func(replication.Mode){
		"no index was stored": s.storage.IndexUnseen, "the index was wrong": s.storage.IndexWrong,
	} {
		s.stands(t, journal.Cursor{Position: at})
		doubt(replication.DR)
		s.roles.endDuty()
		doubt(perf)
		require.False(t, s.mustCopy(t), what)
		s.roles.beginDuty(t.Context())
		s.storage.settleDoubt()
		require.Eventually(t, func() bool { return s.mustCopy(t) }, 30*time.Second, time.Millisecond, what)
		s.stands(t, journal.Cursor{Position: at})
		doubt(perf)
		require.Eventually(t, func() bool { return s.mustCopy(t) }, 30*time.Second, time.Millisecond, what)
	}

	s.roles.bootstrapping.Store(true)
	s.storage.IndexUnseen(perf)
	require.Nil(t, s.storage.doubted.Load(), "the first copy brings everything")
	s.roles.bootstrapping.Store(false)
	s.filter(t, "b", denyNo)
	s.term.hiding.Forget()
	s.stands(t, journal.Cursor{Position: at})
	s.storage.IndexUnseen(perf)
	require.False(t, s.mustCopy(t))
	require.Nil(t, s.storage.doubted.Load())
}

// A secondary that gets another id follows the filter of that id. Its running core is told what it may not write.
func TestUpdatePrimaryWithAnotherID(t *testing.T) {
	s := newStanding(t)
	ctx := t.Context()
	require.NoError(t, s.term.enforce(ctx, s.roles.Record(), true))
	s.term.endStartup(ctx)
	of := s.roles.Record().Performance
	_, err := s.secondary.UpdatePrimary(ctx, perf,
		endpoints.UpdatePrimaryRequest{Payload: activationOf(t, of.SetID, of.IndexKey)})
	require.NoError(t, err)
	require.Equal(t, "c", s.roles.Record().Performance.SecondaryID)
	require.Eventually(t, s.shown, 30*time.Second, time.Millisecond)
	require.False(t, s.term.hiding.Any(), "nothing is known of a filter of c")
	require.True(t, s.term.hiding.Hides("secret/", s.secret), "it is awaited")
	require.True(t, s.mustCopy(t))
	require.ErrorIs(t, s.core.PutEntry(ctx, "core/mounts", []byte("x")), logical.ErrReadOnly)
}

// Everybody can read the id of a set. A cluster that shows the id without the set's secret is not followed. Its pairing
// key is not kept, or keys would be taken from it.
func TestUpdatePrimaryWantsTheSecretOfTheSet(t *testing.T) {
	s := newStanding(t)
	ctx := t.Context()
	require.NoError(t, s.term.enforce(ctx, s.roles.Record(), true))
	s.term.endStartup(ctx)
	before := s.roles.Record()
	for name, key := range map[string][]byte{"another key": bytes.Repeat([]byte{7}, 32), "the key of a set without " +
		"one": make([]byte, 32)} {
		if bytes.Equal(key, before.Performance.IndexKey) {
			key[0]++
		}
		_, err := s.secondary.UpdatePrimary(ctx, perf,
			endpoints.UpdatePrimaryRequest{Payload: activationOf(t, before.Performance.SetID, key)})
		require.Equal(t, replication.Denied, replication.KindOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "does not have the secret of this replication set")
		require.Equal(t, before, s.roles.Record(), name)
		stored, err := s.core.GetEntry(ctx, recordKey)
		require.NoError(t, err)
		require.NotContains(t, string(stored), `"secondary_id":"c"`, name)
	}
	// A cluster that hands nothing over is not followed either.
	payload := activationOf(t, before.Performance.SetID, before.Performance.IndexKey)
	payload.Bundle = nil
	_, err := s.secondary.UpdatePrimary(ctx, perf, endpoints.UpdatePrimaryRequest{Payload: payload})
	require.ErrorContains(t, err, "no key material")
	require.Equal(t, before, s.roles.Record())
}

// Keys are not taken from such a cluster either.
func TestKeysAreTakenFromTheSetAlone(t *testing.T) {
	t.Parallel()
	mr := &ModeRecord{SetID: "set", IndexKey: bytes.Repeat([]byte{1}, 32)}
	require.NoError(t, provesSet(mr, &handover.Material{SetID: "set", IndexKey: bytes.Repeat([]byte{1}, 32)}))
	for name, m := range map[string]*handover.Material{
		"another set": {SetID: "other", IndexKey: mr.IndexKey},
		"another key": {SetID: "set", IndexKey: bytes.Repeat([]byte{2}, 32)}, "no key": {SetID: "set"},
	} {
		require.Equal(t, replication.Denied, replication.KindOf(provesSet(mr, m)), name)
	}
	require.Error(t, provesSet(&ModeRecord{SetID: "set"}, &handover.Material{SetID: "set"}))
}

// After a failed change, a running core keeps the guard of a running core.
func TestFailedChangeDoesNotAbsorb(t *testing.T) {
	s := newStanding(t)
	ctx := t.Context()
	require.NoError(t, s.term.enforce(ctx, s.roles.Record(), true))
	require.NoError(t, s.core.PutEntry(ctx, "core/mounts", []byte("x")))
	s.term.endStartup(ctx)
	over, ended := make(chan struct{}), context.Background()
	ended, end := context.WithCancel(ended)
	end()
	s.changes.afterRequest(ended, perf, "a change", func() { close(over) },
		func(context.Context) error { return errors.New("not today") })
	<-over
	require.ErrorIs(t, s.core.PutEntry(ctx, "core/mounts", []byte("x")), logical.ErrReadOnly)
}
