// SPDX-License-Identifier: MPL-2.0

package keys

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/handover"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// cluster has shares, and records behind a barrier.
type cluster struct {
	*Shares
	key     string
	config  handover.ShareConfig
	ownErr  error
	asked   int
	records map[string][]byte
	written int
}

func (c *cluster) GetEntry(_ context.Context, key string) ([]byte, error) { return c.records[key], nil }

func (c *cluster) PutEntry(_ context.Context, key string, v []byte) error {
	c.written++
	c.records[key] = v
	return nil
}

func newCluster(t *testing.T, key string) *cluster {
	t.Helper()
	c := &cluster{key: key, config: handover.ShareConfig{Shares: 5, Threshold: 3}, records: map[string][]byte{}}
	c.Shares = &Shares{
		records: c, store: memory(t), logger: hclog.NewNullLogger(), came: make(chan struct{}, 1),
		speaks: func() bool { return true },
		own: func(context.Context) (*handover.Shares, error) {
			c.asked++
			return &handover.Shares{Key: []byte(c.key), Config: c.config}, c.ownErr
		},
	}
	return c
}

func (c *cluster) differs(t *testing.T) bool {
	t.Helper()
	others, err := c.Differ(t.Context())
	require.NoError(t, err)
	return others
}

// stores writes a row of the seal, as a rekey does.
func (c *cluster) stores(t *testing.T, key, value string) {
	t.Helper()
	require.NoError(t, c.store.Put(t.Context(), &physical.Entry{Key: key, Value: []byte(value)}))
}

func TestASecondaryKnowsWhetherItsSharesAreThePrimarys(t *testing.T) {
	t.Parallel()
	p, s := newCluster(t, "one"), newCluster(t, "one")
	require.False(t, s.differs(t), "a primary of before marks nothing")
	require.NoError(t, p.Tell(t.Context()))
	s.records[SharesRow] = p.records[SharesRow]
	require.False(t, s.differs(t))

	p.key = "two"
	require.NoError(t, p.Tell(t.Context()))
	s.records[SharesRow] = p.records[SharesRow]
	require.True(t, s.differs(t))
	s.key = "two"
	require.False(t, s.differs(t))

	p.config.Threshold = 2
	require.NoError(t, p.Tell(t.Context()))
	s.records[SharesRow] = p.records[SharesRow]
	require.True(t, s.differs(t), "as many shares open it as before, of which fewer are needed")
}

// Reading the own shares asks the service of an auto-unseal seal, so it is done only when a row of the seal or the mark
// has changed. A rekey that was cut changes rows one by one, so each change needs a new look.
func TestSharesAreReadAnewWhenARowOfTheSealHasChanged(t *testing.T) {
	t.Parallel()
	s := newCluster(t, "one")
	require.NoError(t, s.Tell(t.Context()))
	require.False(t, s.differs(t))
	asked := s.asked
	require.False(t, s.differs(t))
	require.Equal(t, asked, s.asked)

	s.key = "two"
	s.stores(t, vaultname.StoredKeys, "sealed anew")
	require.True(t, s.differs(t))
	require.True(t, s.differs(t), "what differs is not remembered as what fits")
	s.key = "one"
	require.False(t, s.differs(t))
	for _, key := range sealRows {
		asked = s.asked
		s.stores(t, key, "of a cut rekey")
		require.False(t, s.differs(t))
		require.Equal(t, asked+1, s.asked, key)
	}
}

func TestSharesThatCannotBeComparedAreNoOthers(t *testing.T) {
	t.Parallel()
	s := newCluster(t, "one")
	require.NoError(t, s.Tell(t.Context()))
	s.ownErr = errors.New("the seal does not answer")
	others, err := s.Differ(t.Context())
	require.ErrorContains(t, err, "the seal does not answer")
	require.False(t, others)
	s.ownErr = nil
	s.records[SharesRow] = []byte("{")
	others, err = s.Differ(t.Context())
	require.Error(t, err)
	require.False(t, others)
}

func TestAMarkIsWrittenWhenItDoesNotFit(t *testing.T) {
	t.Parallel()
	p := newCluster(t, "one")
	p.ownErr = errors.New("the seal does not answer")
	require.Error(t, p.Tell(t.Context()))
	require.Zero(t, p.written)
	p.ownErr = nil
	require.NoError(t, p.Tell(t.Context()))
	require.NoError(t, p.Tell(t.Context()))
	require.Equal(t, 1, p.written)
	p.key = "two"
	require.NoError(t, p.Tell(t.Context()))
	require.Equal(t, 2, p.written)
}

// Vault writes a rekey row by row and does not say when it is done.
func TestAPrimaryTellsOfARekeyWhenItsRowsAreAtRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newCluster(t, "one")
		p.stores(t, vaultname.SealConfig, "5 of 3")
		duty, end := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.Watch(duty)
		}()
		look := func() {
			time.Sleep(sharesInterval)
			synctest.Wait()
		}
		look()
		require.Zero(t, p.written, "a rekey may be under way when a node begins to lead")
		look()
		require.Equal(t, 1, p.written)

		p.key = "two"
		for _, half := range []string{"one half", "the other"} {
			p.stores(t, vaultname.StoredKeys, half)
			look()
			require.Equal(t, 1, p.written)
		}
		look()
		require.Equal(t, 2, p.written)
		look()
		require.Equal(t, 2, p.written)
		end()
		<-done
	})
}

func TestWhoFollowsTellsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newCluster(t, "one")
		s.speaks = func() bool { return false }
		duty, end := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Watch(duty)
		}()
		time.Sleep(10 * sharesInterval)
		end()
		<-done
		require.Zero(t, s.written)
	})
}

func TestOneWordOfEachMarkThatCame(t *testing.T) {
	t.Parallel()
	s := newCluster(t, "one")
	s.Applied()
	s.Applied()
	<-s.Came()
	select {
	case <-s.Came():
		t.Fatal("a mark is looked at once")
	default:
	}
	s.Note(errors.New("the primary is away"))
	require.Contains(t, s.Trouble(), "the primary is away")
	s.Note(nil)
	require.Empty(t, s.Trouble())
}
