// SPDX-License-Identifier: MPL-2.0

package role

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A standby whose seal does not answer is not left sealed for ever.
func TestSealingIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun, calls, failures := time.Now(), 0, 0
		again(sealRetry, func() error {
			if calls++; calls < 4 {
				return errors.New("the provider of the seal does not answer")
			}
			return nil
		}, func(error) { failures++ })
		require.Equal(t, 4, calls)
		require.Equal(t, 3, failures)
		require.Equal(t, 3*sealRetry, time.Since(begun))
	})
}
