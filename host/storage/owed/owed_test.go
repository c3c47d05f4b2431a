// SPDX-License-Identifier: MPL-2.0

package owed

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// attempts records what is asked to be taken up; fail says which keys cannot.
type attempts struct {
	k    Keys
	fail string
	got  []string
}

func (a *attempts) take() {
	a.k.TakeUp(func(keys, doubted []string) (left []string) {
		text := strings.Join(keys, " ")
		if len(doubted) > 0 {
			text += " (" + strings.Join(doubted, " ") + ")"
		}
		a.got = append(a.got, text)
		for _, key := range keys {
			if strings.Contains(a.fail, key) {
				left = append(left, key)
			}
		}
		return left
	})
}

func TestWhatWasNotTakenUpIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a attempts
		a.take()
		require.Empty(t, a.got, "nothing is owed")
		require.True(t, a.k.None())

		a.fail = "b"
		a.k.Add("a", "b")
		a.k.Add("c")
		require.False(t, a.k.None())
		a.take()
		a.k.Add("d")
		a.take() // b waits
		require.Equal(t, []string{"a b c", "d"}, a.got)
		require.False(t, a.k.None())
		wait, owes := a.k.Wait()
		require.True(t, owes)
		require.Equal(t, firstWait, wait)
		require.Zero(t, a.k.Late(), "it may be a moment only")

		for i := range 20 {
			wait, _ := a.k.Wait()
			require.LessOrEqual(t, wait, lastWait)
			time.Sleep(wait)
			a.take()
			next, _ := a.k.Wait()
			require.GreaterOrEqual(t, next, wait, "attempt %d", i)
		}
		require.Equal(t, 1, a.k.Late())
		require.NotZero(t, a.k.Bytes())

		a.fail, a.got = "", nil
		a.k.Add("e", "b")
		a.k.Retry()
		a.take()
		require.Equal(t, []string{"b e"}, a.got)
		require.True(t, a.k.None())
		_, owes = a.k.Wait()
		require.False(t, owes)
		require.Zero(t, a.k.Late())
	})
}

// While the outcome of a failed write is in doubt, no attempt is the last.
func TestDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a attempts
		a.k.Add("a")
		a.k.Doubt()
		a.take()
		require.Empty(t, a.got)
		for range 3 {
			wait, owes := a.k.Wait()
			require.True(t, owes)
			time.Sleep(wait)
			a.take()
			require.False(t, a.k.None())
		}
		a.k.Add("b")
		a.k.Certain()
		a.take()
		require.Equal(t, []string{"a (a)", "a (a)", "a (a)", "a b (a)"}, a.got)
		require.True(t, a.k.None())

		// A write that fails once more while the last attempt fails too.
		a.got, a.fail = nil, "a"
		a.k.Add("a")
		a.k.Doubt()
		a.k.Certain()
		a.take()
		a.k.Add("c")
		a.k.Doubt()
		a.fail = ""
		a.k.Retry()
		a.take()
		require.False(t, a.k.None(), "c is in doubt")
		a.k.Certain()
		a.take()
		require.True(t, a.k.None())
		require.Equal(t, []string{"a (a)", "c a (c)", "c (c)"}, a.got)
	})
}

// A key that is owed again while it is taken up is still owed afterwards.
func TestOwedMeanwhile(t *testing.T) {
	t.Parallel()
	var k Keys
	k.Add("a")
	k.TakeUp(func([]string, []string) []string {
		require.False(t, k.None(), "it is not taken up yet")
		k.Add("a")
		return nil
	})
	require.False(t, k.None())
	require.Panics(t, func() { k.TakeUp(func([]string, []string) []string { panic("a defect") }) })
	require.False(t, k.None(), "nothing was taken up")
}
