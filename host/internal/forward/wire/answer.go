// SPDX-License-Identifier: MPL-2.0

package wire

import "github.com/hashicorp/vault/sdk/logical"

// answerRecord is the form in which an Answer is sent. Its fields are part of the format.
type answerRecord struct {
	Response *logical.Response
	Err      *fault
}

// EncodeAnswer encodes an answer.
func EncodeAnswer(a *Answer) ([]byte, error) {
	return encode("answer", &answerRecord{Response: a.Response, Err: describe(a.Err)})
}

// DecodeAnswer decodes what EncodeAnswer made.
func DecodeAnswer(raw []byte) (*Answer, error) {
	var rec answerRecord
	if err := decode("answer", raw, &rec); err != nil {
		return nil, err
	}
	return &Answer{Response: rec.Response, Err: rec.Err.restore()}, nil
}
