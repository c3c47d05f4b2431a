// SPDX-License-Identifier: MPL-2.0

// Package sealing is how two hosts seal what a plugin carries between them: AES-256-GCM
// with a key of its own for each use, derived by HKDF-SHA256 from a secret that both have.
package sealing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
)

// New is the cipher for one use. The salt makes it that of one exchange, the info says
// what it is for and of whom. A nonce may be used once.
func New(secret, salt []byte, info string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, salt, info, 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
