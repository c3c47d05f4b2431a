// SPDX-License-Identifier: MPL-2.0

package replicationtest

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// A field that is added to the contract must be given a value here, or the suite
// could not see that a transport forgets it.
func TestProbeValuesHaveNoZeroField(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		*ProbeStatus(), ProbeStatus().Primaries[0], *ProbeTransition(), *probeRange(), *probeFrame(), probeListen(),
		probeDial(), probePosition(),
	} {
		value := reflect.ValueOf(v)
		for i := range value.NumField() {
			require.False(t, value.Field(i).IsZero(), "%s.%s", value.Type(), value.Type().Field(i).Name)
		}
	}
}
