// SPDX-License-Identifier: MPL-2.0

// Package strictjson reads JSON of which every field counts, because a build must not pass over what it does
// not know. A [Record] also has a version and a size. A kind whose older and newer builds read each other
// says that it is open.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// Decode reads one value and nothing else. A field that into does not have is an error.
func Decode(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}
