// SPDX-License-Identifier: MPL-2.0

package keyclass

import (
	"encoding/json"
	"fmt"
	"strings"
)

const (
	// declaredMax bounds the record of declared prefixes, in bytes: a storage must accept it as one value, together with
	// what the storage adds.
	declaredMax = 1000 << 10
	// uuidMax bounds the UUID of a mount, in bytes.
	uuidMax = 256
)

// DeclaredKey is the record of what backends that are not part of Vault have declared. The primary writes it. All
// clusters of a set classify the keys of such mounts by it, even if they cannot load the plugin, so their fingerprints
// agree. A mount that the record lacks is unknown to all of them, and its keys are left alone.
const DeclaredKey = "core/replication/local-prefixes"

// Decides says whether a record decides the classes of other keys: a mount table, or the record of declared prefixes.
func Decides(key string) bool { return key == DeclaredKey || Tables[key] != "" }

// Declared are the local storage prefixes that backends have declared, by the UUIDs of
// their mounts.
type Declared map[string][]string

// Encode is the stored form. It refuses what DecodeDeclared would refuse.
func (d Declared) Encode() ([]byte, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	if _, err := DecodeDeclared(raw); err != nil {
		return nil, err
	}
	return raw, nil
}

// DecodeDeclared reads what Encode made; nil is an empty record. The result is never nil.
func DecodeDeclared(raw []byte) (Declared, error) {
	d := Declared{}
	if raw == nil {
		return d, nil
	}
	if len(raw) > declaredMax {
		return nil, fmt.Errorf("the list of local storage prefixes has %d bytes, and %d are allowed: a plugin of a mount "+
			"declares too many", len(raw), declaredMax)
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("the list of local storage prefixes cannot be read: %w", err)
	}
	if d == nil {
		return nil, fmt.Errorf("the list of local storage prefixes cannot be read: it is none")
	}
	for uuid := range d {
		if uuid == "" || len(uuid) > uuidMax || strings.ContainsRune(uuid, '/') {
			return nil, fmt.Errorf("the list of local storage prefixes has %.64q, which is not the UUID of a mount", uuid)
		}
	}
	return d, nil
}
