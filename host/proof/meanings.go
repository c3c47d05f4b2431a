// SPDX-License-Identifier: MPL-2.0

package proof

import "github.com/vault-replication/vault-replication/shared/replication"

// frame is the sum of a frame and the mark that is given with it.
func (k *key) frame(f *replication.Frame, given sum) sum {
	return k.sumOf(func(m meaning) meaning {
		return append(m.number(f.After).position(f.To).number(f.ConsistentFrom), given[:]...)
	}, f.Payload)
}

func rangeMeaning(copying nonce, r *replication.Range) meaning {
	return append(meaning{}, copying[:]...).text(r.After).text(r.UpTo).flag(r.Last).number(r.Keys).number(r.AsOf)
}

func openingMeaning(copying nonce, at replication.Position, given sum) meaning {
	return append(append(meaning{}, copying[:]...).position(at), given[:]...)
}

// A question is a random number, the sum of it all, and what is asked. Its sum names it.

func sealQuestion(k *key, body []byte) (sealed []byte, asked sum) {
	n := newNonce()
	asked = k.sum(meaning(n[:]), body)
	sealed = make([]byte, 0, nonceSize+sumSize+len(body))
	return append(append(append(sealed, n[:]...), asked[:]...), body...), asked
}

func openQuestion(k *key, sealed []byte) (asked sum, body []byte, ok bool) {
	if len(sealed) < nonceSize+sumSize {
		return asked, nil, false
	}
	n, body := sealed[:nonceSize], sealed[nonceSize+sumSize:]
	copy(asked[:], sealed[nonceSize:])
	return asked, body, k.holds(asked[:], meaning(n), body)
}
