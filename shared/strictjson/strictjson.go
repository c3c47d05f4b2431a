// SPDX-License-Identifier: MPL-2.0

// Package strictjson reads JSON and refuses unknown fields, because a build must not ignore what it does not know. A
// [Record] also has a version and a size. A kind of record that older and newer builds share is open.
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
