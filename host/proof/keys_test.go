// SPDX-License-Identifier: MPL-2.0

package proof

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Hashes are used again. A sum must not depend on what was summed before, or on who sums at
// the same time: it equals the sum of a new hash.
func TestASumIsThatOfANewHash(t *testing.T) {
	t.Parallel()
	secret := []byte("0123456789abcdef0123456789abcdef")
	k := newKey(secret)
	for i := range 50 {
		said, payload := make(meaning, i%7*40), make([]byte, i%5*100)
		said = said.number(uint64(i))
		h := hmac.New(sha256.New, secret)
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(said))))
		h.Write(said)
		h.Write(payload)
		want := sum(h.Sum(nil)[:sumSize])
		var users sync.WaitGroup
		for range 4 {
			users.Go(func() {
				if got := k.sum(said, payload); got != want {
					t.Errorf("the sum of %d bytes and %d is %x in place of %x", len(said), len(payload), got, want)
				}
			})
		}
		users.Wait()
	}
	require.False(t, k.holds(make([]byte, sumSize), nil, nil))
}
