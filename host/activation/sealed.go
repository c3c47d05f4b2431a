// SPDX-License-Identifier: MPL-2.0

//go:build go1.26

package activation

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// sealedPrefix begins an activation token that is encrypted to the key of a secondary. Neither
// a JSON web token nor a wrapping token of Vault begins so.
const sealedPrefix = "activation."

// sealedInfo is bound into each such token, so that nothing else that is encrypted to the key
// is taken for one.
const sealedInfo = "vault-replication activation token 1"

// sealedMax bounds such a token in bytes.
var sealedMax = len(sealedPrefix) + base64.RawURLEncoding.EncodedLen(2*payloadMax)

// sealed is what is encrypted.
type sealed struct {
	Payload Payload   `json:"payload"`
	Expires time.Time `json:"expires"`
}

// Key is the private key of a secondary-to-be. Its public half goes to the primary, whose
// activation token only this key opens.
type Key struct{ private hpke.PrivateKey }

func suite() (hpke.KEM, hpke.KDF, hpke.AEAD) {
	return hpke.DHKEM(ecdh.X25519()), hpke.HKDFSHA256(), hpke.AES256GCM()
}

// NewKey makes a key.
func NewKey() (Key, error) {
	kem, _, _ := suite()
	private, err := kem.GenerateKey()
	return Key{private}, err
}

// ParseKey reads a key in the form of Bytes.
func ParseKey(raw []byte) (Key, error) {
	kem, _, _ := suite()
	private, err := kem.NewPrivateKey(raw)
	return Key{private}, err
}

// Bytes is the form in which a key is stored. It is a secret.
func (k Key) Bytes() ([]byte, error) { return k.private.Bytes() }

// Public is the secondary_public_key.
func (k Key) Public() string { return base64.StdEncoding.EncodeToString(k.private.PublicKey().Bytes()) }

// Sealed says whether a token is of the form that is encrypted to a key. Opening it needs no
// call to the primary.
func Sealed(token string) bool { return strings.HasPrefix(strings.TrimSpace(token), sealedPrefix) }

// CheckPublicKey refuses what generate-public-key has not returned.
func CheckPublicKey(text string) error {
	_, err := parsePublicKey(text)
	return err
}

func parsePublicKey(text string) (hpke.PublicKey, error) {
	kem, _, _ := suite()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err == nil {
		var public hpke.PublicKey
		if public, err = kem.NewPublicKey(raw); err == nil {
			return public, nil
		}
	}
	return nil, invalid("secondary_public_key is not a key that secondary/generate-public-key returned on the " +
		"secondary: copy it whole")
}

// SealTo returns an activation token that only the holder of the key can open, until it expires.
func (p Payload) SealTo(publicKey string, expires time.Time) (string, error) {
	public, err := parsePublicKey(publicKey)
	if err != nil {
		return "", err
	}
	p.Version = sent.Version
	data, err := json.Marshal(sealed{Payload: p, Expires: expires.UTC().Truncate(time.Second)})
	if err != nil {
		return "", fmt.Errorf("encoding an activation: %w", err)
	}
	_, kdf, aead := suite()
	box, err := hpke.Seal(public, kdf, aead, []byte(sealedInfo), data)
	if err != nil {
		return "", fmt.Errorf("encrypting an activation: %w", err)
	}
	return sealedPrefix + base64.RawURLEncoding.EncodeToString(box), nil
}

// Open is the reverse of SealTo, for a token of a mode. Errors are of the contract and quote neither
// token nor key.
func (k Key) Open(token string, mode replication.Mode, now time.Time) (*Payload, error) {
	token = strings.TrimSpace(token)
	if len(token) > sealedMax {
		return nil, invalid("the activation token is longer than %d bytes, so it is not one: give the token that "+
			"secondary-token returned on the primary", sealedMax)
	}
	box, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, sealedPrefix))
	if err != nil {
		return nil, invalid("the activation token is damaged: it is not valid base64; copy it whole")
	}
	_, kdf, aead := suite()
	data, err := hpke.Open(k.private, kdf, aead, []byte(sealedInfo), box)
	if err != nil {
		return nil, denied("the activation token was not made for the public key that this cluster generated last, or is " +
			"cut off: give the primary the newest secondary_public_key and ask for a new token")
	}
	var s struct {
		Payload json.RawMessage `json:"payload"`
		Expires time.Time       `json:"expires"`
	}
	if json.Unmarshal(data, &s) != nil {
		return nil, errDamaged()
	}
	if now.After(s.Expires.Add(expiryLeeway)) {
		return nil, expired(s.Expires)
	}
	p, err := decodePayload(s.Payload)
	if err == nil {
		err = p.mustBeFor(mode)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}
