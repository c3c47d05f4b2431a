// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

const (
	// payloadMax bounds a payload in bytes, decoded.
	payloadMax = 1 << 20
	// idMax and clusterIDMax bound the ids of a secondary and of a replication set, in
	// characters. The plugin decides which characters an id may have.
	idMax        = 128
	clusterIDMax = 128
	// pairingKeySize is that of the keys that hosts share, in bytes.
	pairingKeySize = 32
	// fieldPrefix begins the name of the one field a payload travels in.
	fieldPrefix = "activation_"
)

var sent = strictjson.Record{Name: "the activation", Version: 1, Max: payloadMax, Open: true}

// Payload is what an activation token is exchanged for. It holds private keys.
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

// Seal returns the data of a response that Vault's core wraps.
//
// The audit log has the response of sys/wrapping/unwrap. It shows each value as an HMAC,
// unless an operator has exempted the field's name (audit_non_hmac_response_keys). The
// field's name is random, so no such list can have it.
func (p Payload) Seal() (map[string]any, error) {
	p.Version = sent.Version
	data, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding an activation: %w", err)
	}
	field := make([]byte, 16)
	_, _ = rand.Read(field) // it never fails
	return map[string]any{fieldPrefix + hex.EncodeToString(field): base64.StdEncoding.EncodeToString(data)}, nil
}

// Open is the reverse of Seal. Errors are InvalidInput and do not quote the data.
func Open(data map[string]any) (*Payload, error) {
	var text string
	var fields int
	for field, value := range data {
		if s, ok := value.(string); ok && strings.HasPrefix(field, fieldPrefix) {
			text = s
			fields++
		}
	}
	if fields != 1 {
		return nil, invalid("the activation token holds no activation of this product: use the one that secondary-token " +
			"returned on the primary")
	}
	if len(text) > base64.StdEncoding.EncodedLen(payloadMax) {
		return nil, invalid("the activation is larger than %d bytes: the primary runs another version", payloadMax)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errDamaged()
	}
	return decodePayload(raw)
}

// decodePayload reads what either form of a token holds.
func decodePayload(raw []byte) (*Payload, error) {
	p := new(Payload)
	if err := sent.Decode(raw, p); err != nil {
		if errors.As(err, new(*strictjson.VersionError)) {
			return nil, invalid("%w: upgrade the older cluster and ask for a new token", err)
		}
		return nil, errDamaged()
	}
	if _, err := replication.ParseMode(string(p.Mode)); err != nil || p.ID == "" || len(p.Bundle) == 0 {
		return nil, invalid("the activation is incomplete: ask the primary for a new token")
	}
	// All of it becomes a part of this cluster's records.
	if !name(p.ID, idMax) || !name(p.ClusterID, clusterIDMax) || len(p.PairingKey) != pairingKeySize {
		return nil, invalid("the activation has names or a key that no primary gives out: ask the primary for a new token")
	}
	return p, nil
}

func errDamaged() error { return invalid("the activation is damaged: ask the primary for a new token") }

// mustBeFor refuses an activation of another mode.
func (p *Payload) mustBeFor(mode replication.Mode) error {
	if p.Mode == mode {
		return nil
	}
	return invalid("the activation is for %s replication, not for %s: ask the primary for a token of the right mode",
		p.Mode,
		mode)
}

// name says whether a text is short and printable: ids are shown and logged.
func name(text string, most int) bool {
	return text != "" && utf8.RuneCountInString(text) <= most &&
		strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
