// SPDX-License-Identifier: MPL-2.0

// Package sealing seals messages that plugins carry between two hosts: by AES-256-GCM, with a key for each use that
// HKDF-SHA256 derives from a secret of both hosts.
package sealing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
)

// New is the cipher for one use. salt binds it to one exchange, info to its purpose and its parties. A nonce may be
// used once.
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
