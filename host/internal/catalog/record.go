// SPDX-License-Identifier: MPL-2.0

package catalog

import (
	"encoding/json"
	"errors"

	"github.com/vault-replication/vault-replication/shared/replication"
	"github.com/vault-replication/vault-replication/shared/strictjson"
)

// recordMax bounds the record of an entry in bytes. Every storage must accept it as one value, with encryption and key.
const recordMax = 512 << 10

// encode is the stored form.
func (e *Entry) encode() ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, invalid("plugin %q: %w", e.Name, err)
	}
	if len(text) > recordMax {
		return nil, invalid("the entry of plugin %q has %d bytes, %d are allowed: give it fewer or shorter arguments and "+
			"variables", e.Name, len(text), recordMax)
	}
	return text, nil
}

// decodeEntry reads the record of a name. The present rules are checked when the plugin is
// run, so that an operator can see an entry that breaks them.
func decodeEntry(name string, text []byte) (*Entry, error) {
	var e Entry
	err := (strictjson.Record{Name: "it", Max: recordMax, Open: true}).Decode(text, &e)
	switch {
	case err != nil:
	case e.Name != name:
		err = errors.New("it is that of another plugin")
	case e.Builtin:
		// Such an entry would run a file of another directory, with any checksum.
		err = errors.New("it claims to be the one that comes with the host")
	default:
		return &e, nil
	}
	return nil, replication.Errorf(replication.Internal, "the entry of plugin %q is damaged: register it again: %w", name,
		err)
}
