// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"github.com/hashicorp/vault/shamir"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Lengths of a key share in bytes: a whole key (threshold 1) or a part of one,
// which carries its coordinate too.
const (
	shareMin = 16
	shareMax = 32 + shamir.ShareOverhead
)

// secretText is text from a request that can be wiped, which a string cannot.
type secretText []byte

func (s *secretText) UnmarshalJSON(data []byte) error {
	if len(data) >= 2 && data[0] == '"' && !bytes.ContainsRune(data, '\\') {
		*s = append((*s)[:0], data[1:len(data)-1]...)
		return nil
	}
	// Some encoders escape the slashes of base64.
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*s = secretText(text)
	return nil
}

// decodeShare reads a share in hex or base64. A base64 text can be valid hex
// too: the length decides.
func decodeShare(text []byte) ([]byte, error) {
	share := make([]byte, hex.DecodedLen(len(text)))
	if n, err := hex.Decode(share, text); err == nil && n >= shareMin && n <= shareMax {
		return share[:n], nil
	}
	clear(share)
	share = make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(share, text)
	if err != nil {
		clear(share)
		return nil, replication.Errorf(replication.InvalidInput, "'key' must be a valid hex or base64 string")
	}
	if n < shareMin || n > shareMax {
		clear(share)
		return nil, replication.Errorf(replication.InvalidInput, "the key share has %d bytes where %d to %d are possible: "+
			"check that it was copied whole", n, shareMin, shareMax)
	}
	return share[:n], nil
}

// combine makes the key of its shares. The result is to be wiped.
func combine(shares [][]byte) ([]byte, error) {
	if len(shares) == 1 {
		return bytes.Clone(shares[0]), nil
	}
	return shamir.Combine(shares)
}
