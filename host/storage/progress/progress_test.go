// SPDX-License-Identifier: MPL-2.0

package progress_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/journal"
	"github.com/vault-replication/vault-replication/host/storage/progress"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func at(sequence uint64) replication.Position {
	return replication.Position{Epoch: replication.Epoch{Generation: 1, ID: "e"}, Sequence: sequence}
}

func cursor(sequence uint64) *journal.Cursor { return &journal.Cursor{Position: at(sequence)} }

// What the core takes up while a cursor is being loaded ends the waits for it: the core is
// asked under the lock, so that its answer is not older than what it says next.
func TestTakenUpWhileItIsLoaded(t *testing.T) {
	t.Parallel()
	var p progress.Progress
	took := make(chan struct{})
	p.Load(cursor(5), p.Ended(), func() bool {
		go func() {
			defer close(took)
			p.Taken()
		}()
		for range 1000 { // where it can be, it is taken up before the answer counts
			runtime.Gosched()
		}
		return false
	})
	<-took
	w, err := p.Wait(at(5))
	require.NoError(t, err)
	require.Nil(t, w, "it is reached")
}

// What is read before an end says nothing after it.
func TestLoadedAcrossAnEnd(t *testing.T) {
	t.Parallel()
	var p progress.Progress
	before := p.Ended()
	p.End(errors.New("the duty is over"))
	p.Load(cursor(5), before, func() bool { return true })
	_, err := p.Wait(at(5))
	require.ErrorIs(t, err, progress.ErrUnknown)
}

// Waits end in the order of their positions, when the core has taken up what is stored.
func TestWaitsEndWithWhatIsTakenUp(t *testing.T) {
	t.Parallel()
	var p progress.Progress
	p.Load(cursor(1), p.Ended(), func() bool { return true })
	late, err := p.Wait(at(9))
	require.NoError(t, err)
	soon, err := p.Wait(at(3))
	require.NoError(t, err)
	p.Reached(cursor(4))
	require.Equal(t, 2, p.Waiting(), "it is stored and not taken up")
	p.Taken()
	require.NoError(t, <-soon.Done())
	require.Equal(t, 1, p.Waiting())
	p.Forget(late)
	require.Zero(t, p.Waiting())
}

// What a secondary has while it copies is a mixture of two states, and perhaps of two histories: it is nowhere, from
// the moment at which the copy is stored until the core has taken up the end of it.
func TestNothingIsReachedWhileACopyIsUnderWay(t *testing.T) {
	t.Parallel()
	var p progress.Progress
	p.Load(cursor(5), p.Ended(), func() bool { return true })
	copying := &journal.Cursor{Position: at(5), Copying: true, CopyFrom: at(7)}
	var w *progress.Waiter
	for _, step := range []func(){
		func() { p.Reached(copying) }, p.Taken, func() { p.Reached(cursor(7)) },
	} {
		step()
		here, known := p.At()
		require.Zero(t, here)
		require.True(t, known)
		require.True(t, p.Copying())
		var err error
		w, err = p.Wait(at(6))
		require.NoError(t, err)
		require.NotNil(t, w)
	}
	p.Taken()
	require.NoError(t, <-w.Done())
	here, _ := p.At()
	require.Equal(t, at(7), here)
	require.False(t, p.Copying())

	copying.CopyFrom.Epoch.Generation++
	p.Reached(copying)
	_, err := p.Wait(at(3))
	require.Equal(t, replication.PositionLost, replication.KindOf(err), "it is of a history that will not come back")
}
