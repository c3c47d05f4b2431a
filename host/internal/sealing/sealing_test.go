// SPDX-License-Identifier: MPL-2.0

package sealing

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A host of the last release opens what this one seals.
func TestFormIsThatOfTheLastRelease(t *testing.T) {
	t.Parallel()
	aead, err := New(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32), "info")
	require.NoError(t, err)
	sealed := aead.Seal(nil, make([]byte, aead.NonceSize()), []byte("plain"), []byte("additional"))
	require.Equal(t, "4fbe05b1fd92da5bcceb1132576fcfad36c2019e76", fmt.Sprintf("%x", sealed))
}
