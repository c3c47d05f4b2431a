// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/internal/role/relations"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// counted is a plugin whose status answers when it may.
type counted struct {
	replication.Backend
	calls atomic.Int64
	mayGo chan struct{}
}

func (c *counted) Status(context.Context) (*replication.Status, error) {
	c.calls.Add(1)
	<-c.mayGo
	return &replication.Status{State: replication.Running}, nil
}

type countedPlugins struct {
	Plugins
	b *counted
}

func (p countedPlugins) Running(replication.Mode) replication.Backend { return p.b }
func (p countedPlugins) Trouble(replication.Mode) string              { return "" }

// However many ask for the status at one time, the plugin is asked once for those who came
// while another look was under way.
func TestManyWhoAskForTheStatusAreOneLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner, err := inmem.NewInmem(nil, hclog.NewNullLogger())
		require.NoError(t, err)
		c := &statuses{tap: storage.New(inner, storage.Options{}), roles: &roles{record: disabledRecord()},
			relations: new(relations.Relations)}
		defer func() { _ = c.tap.Close(context.Background()) }()
		b := &counted{mayGo: make(chan struct{})}
		c.sessions = &sessions{plugins: countedPlugins{b: b}}
		c.roles.record.Performance.Role = replication.Primary
		c.looks = map[replication.Mode]*looks{perf: newLooks()}
		var all sync.WaitGroup
		ask := func() {
			all.Go(func() {
				s, err := c.Status(t.Context(), perf)
				require.NoError(t, err)
				require.Equal(t, replication.Running, s.Sessions.State)
			})
		}
		ask()
		synctest.Wait()
		for range 300 {
			ask()
		}
		synctest.Wait()
		close(b.mayGo)
		all.Wait()
		require.Equal(t, int64(2), b.calls.Load())
	})
}

// numbered looks are numbered; at is when a look began.
func numbered(n *atomic.Uint64) func(context.Context) (*endpoints.ModeStatus, error) {
	return func(context.Context) (*endpoints.ModeStatus, error) {
		return &endpoints.ModeStatus{LastWAL: n.Add(1)}, nil
	}
}

// An answer is of after its question: who changes something and asks sees it.
func TestAnAnswerIsNotOlderThanItsQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLooks()
		var written atomic.Uint64
		mayGo := make(chan struct{})
		do := func(context.Context) (*endpoints.ModeStatus, error) {
			s := &endpoints.ModeStatus{LastWAL: written.Load()}
			<-mayGo
			return s, nil
		}
		var all sync.WaitGroup
		for want := range uint64(5) {
			written.Store(want)
			all.Go(func() {
				s, err := l.ask(t.Context(), do)
				require.NoError(t, err)
				require.GreaterOrEqual(t, s.LastWAL, want)
			})
			synctest.Wait()
		}
		close(mayGo)
		all.Wait()
	})
}

// A flood that asks again and again, one after the other, has the looks take half of the
// time. One who asks alone waits for nobody.
func TestLooksHaveAPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const lasts = 2 * time.Millisecond
		l := newLooks()
		var n atomic.Uint64
		slow := func(ctx context.Context) (*endpoints.ModeStatus, error) {
			time.Sleep(lasts)
			return numbered(&n)(ctx)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				for ctx.Err() == nil {
					_, _ = l.ask(ctx, slow)
				}
			})
		}
		all.Wait()
		require.InDelta(t, 10*time.Second/lasts/2, n.Load(), 2)
		time.Sleep(time.Second)
		begun := time.Now()
		_, err := l.ask(t.Context(), slow)
		require.NoError(t, err)
		require.Equal(t, lasts, time.Since(begun))

		// A look that hung is no reason to wait.
		_, err = l.ask(t.Context(), func(context.Context) (*endpoints.ModeStatus, error) {
			time.Sleep(time.Minute)
			return &endpoints.ModeStatus{}, nil
		})
		require.NoError(t, err)
		begun = time.Now()
		_, err = l.ask(t.Context(), slow)
		require.NoError(t, err)
		require.Equal(t, looksRestMax+lasts, time.Since(begun))
	})
}

// Who looks for others and goes away leaves them an answer, whether he waited or looked.
func TestWhoGivesUpLeavesTheOthersAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLooks()
		mayGo := make(chan struct{})
		hung := func(ctx context.Context) (*endpoints.ModeStatus, error) {
			select {
			case <-mayGo:
				return &endpoints.ModeStatus{LastWAL: 1}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		var all sync.WaitGroup
		leave := make([]context.CancelFunc, 3)
		for i := range leave {
			var ctx context.Context
			ctx, leave[i] = context.WithCancel(t.Context())
			all.Go(func() {
				_, err := l.ask(ctx, hung)
				require.ErrorIs(t, err, context.Canceled)
			})
			synctest.Wait()
		}
		all.Go(func() {
			s, err := l.ask(t.Context(), hung)
			require.NoError(t, err)
			require.Equal(t, uint64(1), s.LastWAL)
		})
		synctest.Wait()
		leave[1]() // waits for its turn, for itself and the others
		synctest.Wait()
		leave[0]() // looks
		synctest.Wait()
		leave[2]()
		synctest.Wait()
		close(mayGo)
		all.Wait()
		_, err := l.ask(t.Context(), func(context.Context) (*endpoints.ModeStatus, error) {
			return nil,
				errors.New("refused")
		})
		require.EqualError(t, err, "refused", "what a look finds wrong is an answer too")
	})
}
