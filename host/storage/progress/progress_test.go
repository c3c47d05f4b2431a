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

// The core may take keys up while a cursor is being loaded. That still ends the waits: Load asks the core under the
// lock, so that its answer is not older than its next report.
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

// A cursor that was read before an end does not count after it.
func TestLoadedAcrossAnEnd(t *testing.T) {
	t.Parallel()
	var p progress.Progress
	before := p.Ended()
	p.End(errors.New("the duty is over"))
	p.Load(cursor(5), before, func() bool { return true })
	_, err := p.Wait(at(5))
	require.ErrorIs(t, err, progress.ErrUnknown)
}

// Waits end in the order of their positions, once the core has taken up what is stored.
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

// During a copy a secondary has a mixture of two states, perhaps of two histories. So it has reached no position, from
// when the copy is recorded until the core has taken up its end.
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
