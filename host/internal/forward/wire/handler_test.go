// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/jsonutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// fieldTypes are all that framework knows.
var fieldTypes = []framework.FieldType{
	framework.TypeString, framework.TypeInt, framework.TypeBool, framework.TypeMap, framework.TypeDurationSecond,
	framework.TypeSlice, framework.TypeStringSlice, framework.TypeCommaStringSlice, framework.TypeLowerCaseString,
	framework.TypeNameString, framework.TypeKVPairs, framework.TypeCommaIntSlice, framework.TypeHeader,
	framework.TypeFloat,
	framework.TypeSignedDurationSecond, framework.TypeTime, framework.TypeInt64,
}

// seen is each field as a handler got it, with Go types, or the error of its conversion.
type seen map[string]string

// handler is a backend with a field of every type.
func handler(got seen) *framework.Backend {
	fields := map[string]*framework.FieldSchema{}
	for _, ft := range fieldTypes {
		fields[ft.String()+fmt.Sprint(int(ft))] = &framework.FieldSchema{Type: ft}
	}
	b := &framework.Backend{BackendType: logical.TypeLogical}
	b.Paths = []*framework.Path{{
		Pattern: "all", Fields: fields,
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{Callback: func(_ context.Context, req *logical.Request,
				d *framework.FieldData) (*logical.Response, error) {
				for name := range fields {
					v, ok, err := d.GetOkErr(name)
					got[name] = fmt.Sprintf("%T %#v %v %v", v, v, ok, err)
				}
				got["raw"] = fmt.Sprintf("%#v", req.Data)
				return nil, nil
			}},
		},
	}}
	return b
}

// TestHandlersSeeTheSame runs one handler with the request of the secondary and
// with the one that arrives on the primary.
func TestHandlersSeeTheSame(t *testing.T) {
	t.Parallel()
	values := map[string]any{}
	// What a client sends, as Vault's HTTP layer reads it.
	for _, body := range []string{
		`9007199254740993`, `-1.5e3`, `1.0`, `"5m"`, `"a=b"`, `["a=b","c=d"]`, `{"a":1,"b":{"c":[9007199254740993]}}`, `true`,
		`null`, `""`, `[]`, `{}`,
		`"2024-01-02T03:04:05.6Z"`, `1700000000`, `[1,2,3]`, `"1,2,3"`, `"YQ=="`, `{"h":["x","y"],"i":"z"}`, `"\ud800"`,
	} {
		var v any
		require.NoError(t, jsonutil.DecodeJSON([]byte(body), &v))
		values[body] = v
	}
	// What query parameters and Vault itself give.
	values["strings"] = []string{"a", "b"}
	values["int"] = 9007199254740993
	values["int64"] = int64(-5)
	values["float64"] = 3.25
	values["duration"] = 90 * time.Second
	values["time"] = time.Unix(1700000000, 5).UTC()
	values["bytes"] = []byte("abc")
	values["smap"] = map[string]string{"a": "b"}
	values["not UTF-8"] = "a\xff"

	for _, ft := range fieldTypes {
		field := ft.String() + fmt.Sprint(int(ft))
		for name, v := range values {
			req := func() *logical.Request {
				return &logical.Request{Operation: logical.UpdateOperation, Path: "all", Data: map[string]any{field: v}}
			}
			want, got := seen{}, seen{}
			_, wantErr := handler(want).HandleRequest(t.Context(), req())
			_, gotErr := handler(got).HandleRequest(t.Context(), transfer(t, &Request{Logical: req()}).Logical)
			require.Equal(t, fmt.Sprint(wantErr), fmt.Sprint(gotErr), "%s %s", field, name)
			require.Equal(t, want, got, "%s %s", field, name)
		}
	}
}

func TestBigNumbersArriveWhole(t *testing.T) {
	t.Parallel()
	got := seen{}
	field := framework.TypeInt64.String() + fmt.Sprint(int(framework.TypeInt64))
	req := &logical.Request{Operation: logical.UpdateOperation, Path: "all",
		Data: map[string]any{field: json.Number("9007199254740993")}}
	_, err := handler(got).HandleRequest(t.Context(), transfer(t, &Request{Logical: req}).Logical)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(got[field], "int64 9007199254740993 true"), got[field])
}
