// SPDX-License-Identifier: MPL-2.0

package strictjson

import (
	"encoding/json"
	"fmt"
)

// Record is a kind of record that is stored or sent as JSON.
type Record struct {
	// Name begins the errors: "the record of a slot".
	Name string
	// Version must be in the field "version". It is 0 for a kind that has no such field.
	Version int
	// Max is how many bytes a record may have. It is 0 if the caller bounds the size.
	Max int
	// Open allows fields that this build does not know, and ignores them.
	Open bool
}

// VersionError says that a record has a version that this build does not read.
type VersionError struct {
	Name       string
	Has, Knows int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has version %d, and this build knows version %d", e.Name, e.Has, e.Knows)
}

// Decode reads a record and nothing after it. The version is checked first, because a later version may have fields
// that this build does not know. The error is a [VersionError] for another version.
func (r Record) Decode(raw []byte, into any) error {
	if r.Max > 0 && len(raw) > r.Max {
		return fmt.Errorf("%s has %d bytes, and %d are allowed", r.Name, len(raw), r.Max)
	}
	if r.Version > 0 {
		var head struct {
			Version int `json:"version"`
		}
		if err := json.Unmarshal(raw, &head); err != nil {
			return r.malformed(err)
		}
		if head.Version != r.Version {
			return &VersionError{Name: r.Name, Has: head.Version, Knows: r.Version}
		}
	}
	decode := Decode
	if r.Open {
		decode = json.Unmarshal
	}
	if err := decode(raw, into); err != nil {
		return r.malformed(err)
	}
	return nil
}

func (r Record) malformed(err error) error { return fmt.Errorf("%s is malformed: %w", r.Name, err) }
