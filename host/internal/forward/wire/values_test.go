// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestValuesKeepTheirTypes(t *testing.T) {
	t.Parallel()
	at := time.Date(-3, 1, 2, 3, 4, 5, 6, time.UTC)
	data := map[string]any{
		"nil": nil, "bool": true, "string": "é<&>\u2028", "bytes string": "a\xff\x00", "empty": "",
		"number": json.Number("9007199254740993"), "digits": json.Number("1.50e+3"), "no number": json.Number(" 1"),
		"empty number": json.Number(""),
		"int":          9007199254740993, "int8": int8(-3), "int64": int64(math.MinInt64), "uint64": uint64(math.MaxUint64),
		"uint8": uint8(7),
		"float": 1.0, "float32": float32(0.1), "inf": math.Inf(-1), "float as int": float64(1 << 60),
		"bytes": []byte{0, 1, 255}, "nil bytes": []byte(nil), "no bytes": []byte{}, "raw": json.RawMessage(`{"a": 1.0}`),
		"duration": time.Hour, "time": at,
		"strings": []string{"a", "\xfe"}, "nil strings": []string(nil), "no strings": []string{}, "ints": []int{1, 2},
		"int64s": []int64{1 << 60},
		"list":   []any{1, "a", nil, []any{json.Number("2")}}, "nil list": []any(nil), "no list": []any{},
		"map": map[string]any{"x": map[string]any{"y": uint16(3)}}, "nil map": map[string]any(nil),
		"no map": map[string]any{},
		"smap":   map[string]string{"a": "b", "\xff": "c"}, "lmap": map[string][]string{"a": nil, "b": {}, "c": {"d"}},
		"header": http.Header{"A": {"b"}},
		"maps":   []map[string]any{{"a": 1}, nil}, "mmap": map[string]map[string]any{"a": {"b": []byte("c")}},
		"token": logical.TokenTypeBatch,
		"tag":   map[string]any{"$": "int", "v": 5}, "tag of a client": map[string]any{"$": map[string]any{"$": nil}},
		"key":  map[string]any{"\xfd": 1, "$": 2},
		"\xfc": "a key that is not UTF-8", "$": "a tag at the top",
		logical.HTTPRawBody: []byte("\x00raw"), logical.HTTPStatusCode: 418,
		logical.HTTPContentType: "application/ocsp-response",
	}
	require.Equal(t, data, transfer(t, &Request{Logical: &logical.Request{Data: data}}).Logical.Data)
	require.Equal(t, data, answer(t, &Answer{Response: &logical.Response{Data: data}}).Response.Data)
	secret := &logical.Secret{InternalData: data, LeaseOptions: logical.LeaseOptions{TTL: time.Hour, IssueTime: at,
		Increment: 3}, LeaseID: "lease"}
	require.Equal(t, secret, transfer(t, &Request{Logical: &logical.Request{Secret: secret}}).Logical.Secret)
	require.Equal(t, secret, answer(t, &Answer{Response: &logical.Response{Secret: secret}}).Response.Secret)
}

// TestOtherTypesAreWhatAClientSees: the client has JSON in the end.
func TestOtherTypesAreWhatAClientSees(t *testing.T) {
	t.Parallel()
	type inner struct {
		Big  int64  `json:"big"`
		Raw  []byte `json:"raw"`
		None *inner `json:"none,omitempty"`
	}
	type text string
	data := map[string]any{
		"struct": inner{Big: 1<<60 + 1, Raw: []byte("a")}, "pointer": &inner{}, "nil": (*inner)(nil), "text": text("b"),
		"list": []inner{{Big: 1}}, "map": map[string]inner{"$": {}}, "array": [2]int{1, 2},
	}
	want, err := json.Marshal(data)
	require.NoError(t, err)
	got, err := json.Marshal(answer(t, &Answer{Response: &logical.Response{Data: data}}).Response.Data)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got))
	require.Contains(t, string(got), "1152921504606846977")
}

func TestErrorAsAValue(t *testing.T) {
	t.Parallel()
	resp := &logical.Response{Data: map[string]any{"error": logical.ErrPermissionDenied}}
	got := answer(t, &Answer{Response: resp, Err: logical.ErrInvalidRequest})
	require.Same(t, logical.ErrPermissionDenied, got.Response.Error())
	require.Same(t, logical.ErrInvalidRequest, got.Err)
	text := answer(t, &Answer{Response: logical.ErrorResponse("no"), Err: logical.ErrInvalidRequest})
	require.True(t, text.Response.IsError())
	require.EqualError(t, text.Response.Error(), "no")
}

func TestWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	circle := map[string]any{}
	circle["a"] = []any{circle}
	for name, data := range map[string]map[string]any{
		"a map in itself": circle,
		"a function":      {"a": func() {}},
		"a channel":       {"a": []any{make(chan int)}},
	} {
		_, err := EncodeRequest(&Request{Logical: &logical.Request{Data: data}})
		require.ErrorContains(t, err, "cannot be sent", name)
		_, err = EncodeAnswer(&Answer{Response: &logical.Response{Data: data}, Err: errors.New("x")})
		require.ErrorContains(t, err, "cannot be sent", name)
	}
	_, err := EncodeRequest(&Request{Logical: &logical.Request{RequiresSnapshotID: "s"}})
	require.ErrorContains(t, err, "loaded on this cluster only")
	_, err = EncodeRequest(&Request{})
	require.Error(t, err)
}

func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"empty": "", "another version": "\x02{}", "no JSON": "\x01{", "two values": "\x01{}{}", "a list": "\x01[]",
		"no request":     "\x01{}",
		"a wrong type":   "\x01{\"Logical\":{\"Path\":1}}",
		"an unknown tag": "\x01{\"Logical\":{\"Data\":{\"a\":{\"$\":\"later\"}}}}",
		"out of range":   "\x01{\"Logical\":{\"Data\":{\"a\":{\"$\":\"int8\",\"v\":300}}}}",
	} {
		_, err := DecodeRequest([]byte(raw))
		require.ErrorContains(t, err, "request", name)
	}
	got, err := DecodeRequest([]byte("\x01{\"Logical\":{\"Path\":\"a\",\"Later\":{}},\"More\":1}"))
	require.NoError(t, err, "fields of a newer version are passed over")
	require.Equal(t, "a", got.Logical.Path)
}
