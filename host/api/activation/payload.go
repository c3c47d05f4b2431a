// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	payloadVersion = 1
	// payloadMax bounds a payload in bytes, decoded.
	payloadMax = 1 << 20
	// fieldPrefix begins the name of the one field a payload travels in.
	fieldPrefix = "activation_"
)

// Payload is what an activation token stands for. It holds private keys.
type Payload struct {
	Version int              `json:"version"`
	Mode    replication.Mode `json:"mode"`
	// ID is the secondary's id, ClusterID that of the replication set.
	ID        string `json:"id"`
	ClusterID string `json:"cluster_id"`
	// Bundle is the plugin's and opaque to the host.
	Bundle []byte `json:"bundle"`
	// PairingKey is the hosts' and never shown to a plugin.
	PairingKey []byte `json:"pairing_key"`
}

// Seal returns the data of a response for Vault's core to wrap.
//
// The audit log shows the response of sys/wrapping/unwrap, with each value
// behind an HMAC unless an operator has exempted the field's name
// (audit_non_hmac_response_keys). The name is random, so that no such list can
// name it.
func (p Payload) Seal() (map[string]any, error) {
	p.Version = payloadVersion
	data, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding an activation: %w", err)
	}
	name := make([]byte, 16)
	if _, err := rand.Read(name); err != nil {
		return nil, fmt.Errorf("naming the field of an activation: %w", err)
	}
	return map[string]any{fieldPrefix + hex.EncodeToString(name): base64.StdEncoding.EncodeToString(data)}, nil
}

// Open is the reverse of Seal. Errors are InvalidInput and do not quote the data.
func Open(data map[string]any) (*Payload, error) {
	var text string
	var fields int
	for name, value := range data {
		if s, ok := value.(string); ok && strings.HasPrefix(name, fieldPrefix) {
			text = s
			fields++
		}
	}
	if fields != 1 {
		return nil, invalid("the activation token holds no activation of this product: use the one that secondary-token returned on the primary")
	}
	if len(text) > base64.StdEncoding.EncodedLen(payloadMax) {
		return nil, invalid("the activation is larger than %d bytes: the primary runs another version", payloadMax)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, invalid("the activation is damaged: ask the primary for a new token")
	}
	p := new(Payload)
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, invalid("the activation is damaged: ask the primary for a new token")
	}
	if p.Version != payloadVersion {
		return nil, invalid("the activation has version %d and this server knows version %d: upgrade the older cluster and ask for a new token", p.Version, payloadVersion)
	}
	if _, err := replication.ParseMode(string(p.Mode)); err != nil || p.ID == "" || len(p.Bundle) == 0 {
		return nil, invalid("the activation is incomplete: ask the primary for a new token")
	}
	return p, nil
}
