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

// A sum equals that of a new hash over the length of the meaning, the meaning and the
// payload. What the key was used for before does not matter, nor that several use it at
// once.
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
