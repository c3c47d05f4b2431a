// SPDX-License-Identifier: MPL-2.0

package handover

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// saltSize is the length of a mark's salt, in bytes.
const saltSize = 32

// SharesMark tells whether the same key shares open two clusters. It tells nothing of the
// shares, because the key that they combine to is random and as long as the mark.
type SharesMark struct {
	Salt   []byte `json:"salt"`
	Digest []byte `json:"digest"`
}

// Shares is the key that a cluster's unseal or recovery shares combine to, and how it was
// split. It is empty where a cluster has no recovery shares.
type Shares struct {
	Key    []byte
	Config ShareConfig
}

// SharesOf reads the shares of a cluster.
func SharesOf(ctx context.Context, core *vaultcore.Core) (*Shares, error) {
	m := new(Material)
	if err := collectShares(ctx, core, m); err != nil {
		return nil, err
	}
	return m.shares(), nil
}

func (m *Material) shares() *Shares { return &Shares{Key: m.Shares, Config: m.ShareConfig} }

// Wipe clears the key.
func (s *Shares) Wipe() { clear(s.Key) }

// Same says whether the material has these shares already.
func (m *Material) Same(s *Shares) bool {
	return hmac.Equal(m.Shares, s.Key) && m.ShareConfig == s.Config
}

// Mark makes a mark.
func (s *Shares) Mark() *SharesMark {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // it never fails
	return &SharesMark{Salt: salt, Digest: s.digest(salt)}
}

// Fits says whether a mark was made of these shares.
func (m *SharesMark) Fits(s *Shares) bool { return hmac.Equal(m.Digest, s.digest(m.Salt)) }

func (s *Shares) digest(salt []byte) []byte {
	mac := hmac.New(sha256.New, salt)
	_, _ = fmt.Fprintf(mac, "vault-replication/shares/v1 %d %d ", s.Config.Shares, s.Config.Threshold)
	mac.Write(s.Key)
	return mac.Sum(nil)
}

// Encode makes the stored form.
func (m *SharesMark) Encode() ([]byte, error) { return json.Marshal(m) }

// DecodeSharesMark reads the stored form.
func DecodeSharesMark(raw []byte) (*SharesMark, error) {
	var m SharesMark
	kind := strictjson.Record{Name: "the mark of the primary's key shares", Open: true}
	if err := kind.Decode(raw, &m); err != nil {
		return nil, err
	}
	if len(m.Salt) != saltSize || len(m.Digest) != sha256.Size {
		return nil, errors.New("the mark of the primary's key shares is malformed")
	}
	return &m, nil
}
