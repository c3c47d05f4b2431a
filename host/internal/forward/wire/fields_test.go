// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// TestEveryFieldIsDecided fails when the sdk has a field that the codec neither
// carries nor lists as left out, and when the list names a field that is gone.
func TestEveryFieldIsDecided(t *testing.T) {
	t.Parallel()
	seen := map[reflect.Type]bool{}
	checkFields(t, reflect.TypeFor[logical.Request](), seen)
	checkFields(t, reflect.TypeFor[logical.Response](), seen)
	checkFields(t, reflect.TypeFor[tls.ConnectionState](), seen)
	for typ, fields := range leftOut {
		require.True(t, seen[typ], "%s is not part of a request or response", typ)
		for name, reason := range fields {
			f, ok := typ.FieldByName(name)
			require.True(t, ok && f.IsExported(), "%s has no field %s", typ, name)
			require.NotEmpty(t, reason)
		}
	}
	request := reflect.TypeFor[logical.Request]()
	for i := range request.NumField() {
		if f := request.Field(i); !f.IsExported() {
			require.Contains(t, unexported, f.Name, "a new unexported field of a request")
		}
	}
	for name := range unexported {
		_, ok := request.FieldByName(name)
		require.True(t, ok, "a request has no field %s", name)
	}
}

func checkFields(t *testing.T, typ reflect.Type, seen map[reflect.Type]bool) {
	t.Helper()
	switch {
	case seen[typ], typ == timeType, typ == sockAddrType, typ == certificateType, typ == anyType:
		return
	}
	seen[typ] = true
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice:
		checkFields(t, typ.Elem(), seen)
	case reflect.Map:
		require.Equal(t, reflect.String, typ.Key().Kind(), typ)
		checkFields(t, typ.Elem(), seen)
	case reflect.Struct:
		for i := range typ.NumField() {
			if f := typ.Field(i); carried(typ, f) {
				checkFields(t, f.Type, seen)
			}
		}
	case reflect.Interface, reflect.Func, reflect.Chan, reflect.Array, reflect.UnsafePointer, reflect.Complex64,
		reflect.Complex128:
		t.Errorf("the codec carries no %s: list the field in leftOut", typ)
	}
}

// populate sets every field that is carried to something that is not zero.
func populate(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Type() {
	case timeType:
		v.Set(reflect.ValueOf(time.Date(2024, 5, 6, 7, 8, 9, *n, time.FixedZone("", 3600))))
		return
	case sockAddrType:
		v.Set(reflect.ValueOf(
			sockaddr.SockAddrMarshaler{SockAddr: sockaddr.MustIPv4Addr(fmt.Sprintf("10.0.%d.0/24", *n%256))}))
		return
	case anyType:
		v.Set(reflect.ValueOf(int64(1)<<53 + int64(*n)))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n % 200))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		populate(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		populate(t, v.Index(0), n)
		populate(t, v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e := reflect.New(v.Type().Elem()).Elem()
		populate(t, e, n)
		v.SetMapIndex(reflect.ValueOf(fmt.Sprintf("key %d", *n)).Convert(v.Type().Key()), e)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); carried(v.Type(), f) {
				populate(t, v.Field(i), n)
			}
		}
	default:
		t.Fatalf("cannot populate %s", v.Type())
	}
}

func TestEveryFieldArrives(t *testing.T) {
	t.Parallel()
	n := 0
	l, resp := &logical.Request{}, &logical.Response{}
	populate(t, reflect.ValueOf(l).Elem(), &n)
	populate(t, reflect.ValueOf(resp).Elem(), &n)
	require.NotNil(t, resp.Auth.MFARequirement)
	require.NotEmpty(t, resp.Auth.Alias.CustomMetadata)
	require.NotZero(t, resp.Auth.IssueTime)
	require.True(t, resp.Auth.Orphan)
	l.Headers = http.Header{"X-Any": {"a", "b"}}
	l.SetMountClass("secret")
	l.SetMountRunningVersion("v1.2.3")
	l.SetMountRunningSha256("abc")
	l.SetMountIsExternalPlugin(true)
	sent := &Request{
		Logical: l, MountPath: "kv/", MountUUID: "uuid", MountAccessor: "kv_1",
		ClientHeaders: map[string][]string{"X-Client": {"c"}}, Timeout: time.Minute,
	}
	require.Equal(t, sent, transfer(t, sent))

	require.Equal(t, &Answer{Response: resp}, answer(t, &Answer{Response: resp}))
	require.Equal(t, &Answer{}, answer(t, &Answer{}), "no response is not an empty one")
	require.Equal(t, &Answer{Response: &logical.Response{}}, answer(t, &Answer{Response: &logical.Response{}}))
}

func transfer(t testing.TB, r *Request) *Request {
	t.Helper()
	raw, err := EncodeRequest(r)
	require.NoError(t, err)
	got, err := DecodeRequest(raw)
	require.NoError(t, err)
	return got
}

func answer(t testing.TB, a *Answer) *Answer {
	t.Helper()
	raw, err := EncodeAnswer(a)
	require.NoError(t, err)
	got, err := DecodeAnswer(raw)
	require.NoError(t, err)
	return got
}
