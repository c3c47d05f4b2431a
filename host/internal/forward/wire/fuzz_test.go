// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/corpus"
)

// FuzzDecodeRequest: whatever comes is refused or read, and what was read is the
// same when it is sent on.
func FuzzDecodeRequest(f *testing.F) {
	seed, err := EncodeRequest(&Request{Logical: &logical.Request{
		Path: "a\xff", Data: map[string]any{"$": 1, "b": []any{[]byte("c"), 1.5}}, Headers: map[string][]string{"A": {"b"}},
		Connection: &logical.Connection{}, Secret: &logical.Secret{},
	}})
	require.NoError(f, err)
	corpus.Add(f, seed)
	f.Add([]byte("\x01{\"Logical\":{},\"HTTP\":{\"URL\":\"/x\"},\"TLS\":{}}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := DecodeRequest(raw)
		if err != nil {
			return
		}
		again, err := EncodeRequest(got)
		require.NoError(t, err)
		twice, err := DecodeRequest(again)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%#v", got.Logical.Data), fmt.Sprintf("%#v", twice.Logical.Data))
		require.Equal(t, got.Logical.Path, twice.Logical.Path)
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	for _, err := range []error{nil, logical.ErrReadOnly,
		fmt.Errorf("x: %w", errors.Join(logical.ErrNotFound, logical.CodedError(4, "d")))} {
		seed, encodeErr := EncodeAnswer(&Answer{Response: logical.ErrorResponse("no"), Err: err})
		require.NoError(f, encodeErr)
		corpus.Add(f, seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := DecodeAnswer(raw)
		if err != nil {
			return
		}
		again, err := EncodeAnswer(got)
		require.NoError(t, err)
		twice, err := DecodeAnswer(again)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(got.Err), fmt.Sprint(twice.Err))
	})
}

// FuzzString: paths, keys and values may be any bytes.
func FuzzString(f *testing.F) {
	f.Add("a", "b")
	f.Add("$", "\xff\u2028<")
	f.Fuzz(func(t *testing.T, key, value string) {
		data := map[string]any{key: value, "n": map[string]string{key: value}, "m": map[string]any{key: []any{value}}}
		got := transfer(t, &Request{Logical: &logical.Request{Path: value, Data: data}})
		require.Equal(t, data, got.Logical.Data)
		require.Equal(t, value, got.Logical.Path)
	})
}
