// SPDX-License-Identifier: MPL-2.0

package handover

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/vault-replication/vault-replication/host/internal/sealing"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Sizes in bytes of the pairing key and of the challenge.
const (
	PairingKeySize = 32
	ChallengeSize  = 32
)

// Binding is what a sealed handover is bound to: it opens only for the same
// mode, set, secondary and challenge.
type Binding struct {
	Mode        replication.Mode
	SetID       string
	SecondaryID string
	Challenge   []byte
}

// NewKey makes a random pairing key or challenge.
func NewKey() []byte {
	k := make([]byte, PairingKeySize)
	_, _ = rand.Read(k) // it never fails
	return k
}

// Seal encrypts the material for the holder of the pairing key.
func Seal(pairing []byte, b Binding, m *Material) ([]byte, error) {
	aead, err := b.aead(pairing)
	if err != nil {
		return nil, err
	}
	plain, err := m.encode()
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	return aead.Seal(nonce, nonce, plain, b.additional()), nil
}

// Open is the inverse of Seal. It fails for a wrong key, for any other binding
// (a handover that was recorded and played again) and for any changed byte.
func Open(pairing []byte, b Binding, sealed []byte) (*Material, error) {
	aead, err := b.aead(pairing)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("the sealed key material is truncated")
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], b.additional())
	if err != nil {
		return nil, errors.New("the sealed key material does not open with the pairing key of the activation token: it was " +
			"made for another token, or something between the clusters changed it")
	}
	defer clear(plain)
	return decode(plain)
}

// aead derives a key for this one exchange: the challenge is the salt, the
// purpose and both ends are in the info.
func (b Binding) aead(pairing []byte) (cipher.AEAD, error) {
	if len(pairing) != PairingKeySize || len(b.Challenge) != ChallengeSize {
		return nil, fmt.Errorf("a pairing key has %d bytes and a challenge %d", PairingKeySize, ChallengeSize)
	}
	return sealing.New(pairing, b.Challenge, "vault-replication/handover/primary-to-secondary/v1")
}

func (b Binding) additional() []byte {
	return fmt.Appendf(nil, "%q %q %q", b.Mode, b.SetID, b.SecondaryID)
}
