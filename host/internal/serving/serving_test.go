// SPDX-License-Identifier: MPL-2.0

package serving

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/armon/go-metrics"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/entity"
	"github.com/vault-replication/vault-replication/host/internal/forward"
	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/role/mounts"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// set is a performance set that a test decides on.
type set struct {
	serves      bool
	secondaryID string
	key         []byte
	// never says that nothing of the primary arrives.
	never bool
}

func (s *set) Serves() bool                       { return s.serves }
func (s *set) Inert() bool                        { return false }
func (s *set) Consistent(context.Context) bool    { return false }
func (s *set) Relation() (string, string, []byte) { return s.ID(), s.secondaryID, s.key }
func (s *set) ID() string                         { return "set" }
func (s *set) Forwarded(replication.Position)     {}
func (s *set) LastWritten() (replication.Position, error) {
	return replication.Position{}, nil
}
func (s *set) WaitApplied(context.Context, replication.Position) error {
	if s.never {
		return context.DeadlineExceeded
	}
	return nil
}
func (s *set) Forward(context.Context, []byte) ([]byte, error) {
	return nil, replication.Errorf(replication.Unreachable, "there is no primary in this test")
}
func (s *set) KeyOf(context.Context, string) ([]byte, error) {
	return nil, replication.Errorf(replication.Denied, "there is no secondary in this test")
}

// requests are admitted unless the role is changing.
type requests struct {
	changing      bool
	entered, left int
}

func (r *requests) Enter(ctx context.Context) (context.Context, func(), bool) {
	if r.changing {
		return nil, nil, false
	}
	r.entered++
	return ctx, func() { r.left++ }, true
}

// times counts what was measured, by name and labels.
type times map[string]int

func (ts times) MeasureSinceWithLabels(key []string, _ time.Time, labels []metrics.Label) {
	name := strings.Join(key, ".")
	for _, l := range labels {
		name += " " + l.Name + "=" + l.Value
	}
	ts[name]++
}

// server is that of a core which is sealed, in a set that the test decides on.
func server(t *testing.T) (*Server, *set, *requests) {
	t.Helper()
	inner, err := inmem.NewInmem(nil, hclog.NewNullLogger())
	require.NoError(t, err)
	tap := storage.New(inner, storage.Options{})
	t.Cleanup(func() { _ = tap.Close(context.Background()) })
	core, err := vaultcore.Attach(vault.TestCore(t))
	require.NoError(t, err)
	in, reqs, logger := &set{secondaryID: "west", key: make([]byte, 32)}, &requests{}, hclog.NewNullLogger()
	known := mounts.New(core, tap, func() bool { return in.serves }, logger)
	fs := filters.New(replication.Performance, core, tap, known, nil)
	return New(Options{
		Core: core, Tap: tap, Set: in, Mounts: known, Filters: fs, Requests: reqs, Logger: logger,
		Hiding: filters.NewHiding(fs, func(context.Context) {}, logger), Metrics: times{},
	}), in, reqs
}

// Rows of the identity store are taken up by itself, all others by the follower.
func TestRowsOfTheIdentityStoreAreTakenOut(t *testing.T) {
	t.Parallel()
	rest, rows := splitIdentity("logical/id/", []string{"core/mounts", "logical/id/packer/1", "logical/idle/a",
		"logical/id/local"})
	require.Equal(t, []string{"core/mounts", "logical/idle/a"}, rest)
	require.Equal(t, []string{"packer/1", "local"}, rows)
}

// What a core that is not built has not taken up is still owed to it.
func TestACoreThatIsNotBuiltTakesNothingUp(t *testing.T) {
	t.Parallel()
	s, in, _ := server(t)
	in.serves = true
	keys := []string{"core/mounts", "sys/policy/p"}
	require.Equal(t, keys, s.Applied(t.Context(), keys))
	require.Empty(t, s.Lacks())
}

// The session with a primary is kept as long as the relation to it, and used for no other.
func TestEachRelationHasASessionOfItsOwn(t *testing.T) {
	t.Parallel()
	s, in, _ := server(t)
	first := s.toPrimary()
	require.Same(t, first, s.toPrimary())
	in.key = append([]byte{1}, in.key[1:]...)
	other := s.toPrimary()
	require.NotSame(t, first, other, "its key is another one")
	in.secondaryID = "east"
	require.NotSame(t, other, s.toPrimary(), "it has another name")
}

// Nothing of a secondary is carried out while the role changes, and what is carried out is
// known to the change from its beginning to its end.
func TestNothingIsReceivedWhileTheRoleChanges(t *testing.T) {
	t.Parallel()
	s, _, reqs := server(t)
	reqs.changing = true
	_, err := s.Receive(t.Context(), replication.ReceiveRequest{SecondaryID: "west", Payload: []byte("x")})
	require.Equal(t, replication.Unavailable, replication.KindOf(err))
	reqs.changing = false
	_, err = s.Receive(t.Context(), replication.ReceiveRequest{SecondaryID: "west", Payload: []byte("x")})
	require.Error(t, err, "it is no sealed message")
	require.Equal(t, []int{1, 1}, []int{reqs.entered, reqs.left})
}

// A request that has lost its deadline gets that of the listener which lets requests take
// longest; one that has a deadline keeps it.
func TestARequestIsBoundedByTheLongestListener(t *testing.T) {
	t.Parallel()
	s, _, _ := server(t)
	within := func() time.Duration {
		t.Helper()
		begun := time.Now()
		ctx, cancel := s.bounded(t.Context())
		defer cancel()
		deadline, has := ctx.Deadline()
		require.True(t, has)
		return deadline.Sub(begun).Truncate(time.Minute)
	}
	require.Equal(t, vault.DefaultMaxRequestDuration.Truncate(time.Minute), within(), "no listener is known")
	for _, limit := range []time.Duration{time.Hour, 3 * time.Hour, 2 * time.Hour} {
		s.Listens(&configutil.Listener{Type: "tcp", MaxRequestDuration: limit})
	}
	s.Listens(&configutil.Listener{MaxRequestDuration: 9 * time.Hour}) // the cluster port
	require.Equal(t, 3*time.Hour, within())
	own, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ctx, end := s.bounded(own)
	defer end()
	require.Equal(t, own, ctx)
}

// A backend of the core's own forwards on a secondary that serves, and in no other role.
func TestOwnBackendsForwardOnASecondaryAlone(t *testing.T) {
	t.Parallel()
	s, in, _ := server(t)
	here := func() bool {
		t.Helper()
		ran := false
		b := &framework.Backend{Paths: []*framework.Path{{
			Pattern: "entity$",
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
						ran = true
						return nil, nil
					},
				},
			},
		}}}
		require.NoError(t, s.Decorate(b, vaultname.Identity))
		_, err := b.HandleRequest(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: "entity",
			Storage: &logical.InmemStorage{}})
		require.Equal(t, ran, err == nil, "there is no primary to forward to: %v", err)
		return ran
	}
	require.True(t, here())
	in.serves = true
	require.False(t, here())
}

// What is asked of a primary and carried out for a secondary is measured by how it ended, and so is each wait.
func TestCallsAndWaitsAreMeasured(t *testing.T) {
	t.Parallel()
	s, in, _ := server(t)
	_, err := s.Do(t.Context(), &wire.Request{Logical: &logical.Request{Operation: logical.UpdateOperation}})
	require.Equal(t, replication.Unreachable, replication.KindOf(err))
	for _, kind := range []string{entity.KindEnsure, entity.KindCreate, entity.KindGroups, entity.KindMembers} {
		_, _, err = s.Call(t.Context(), kind, nil)
		require.Error(t, err)
		_, _ = s.measured(forward.Kind(kind), func(context.Context, string, []byte) ([]byte, error) {
			return nil, nil
		})(t.Context(), "west", nil)
	}
	_, err = s.Receive(t.Context(), replication.ReceiveRequest{SecondaryID: "west", Payload: []byte("x")})
	require.Error(t, err)
	for _, ends := range []error{nil, logical.ErrInvalidRequest, &logical.ReplicationCodedError{Code: 403}} {
		s.measuredRequests(func(context.Context, string, *wire.Request) *wire.Answer {
			return &wire.Answer{Err: ends}
		})(t.Context(), "west", nil)
	}
	require.NoError(t, s.Wait(t.Context(), replication.Position{}))
	in.never = true
	require.Error(t, s.Wait(t.Context(), replication.Position{}))
	require.Equal(t, times{
		"replication.rpc.client.forward result=unreachable":                           1,
		"replication.rpc.client.persist_alias result=unreachable":                     2,
		"replication.rpc.client.upsert_group result=unreachable":                      2,
		"replication.rpc.server.persist_alias_request result=answered secondary=west": 2,
		"replication.rpc.server.upsert_group_request result=answered secondary=west":  2,
		"replication.rpc.server.forwarding_request result=answered secondary=west":    2,
		"replication.rpc.server.forwarding_request result=refused secondary=west":     1,
		// Its sender has proven nothing.
		"replication.rpc.server.forwarding_request result=refused": 1,
		"replication.wait kind=forwarded result=arrived":           1,
		"replication.wait kind=forwarded result=ran_out":           1,
	}, s.Metrics)
	require.Equal(t, "failed", outcome(nil, errors.New("whatever")))
}
