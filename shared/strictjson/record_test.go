// SPDX-License-Identifier: MPL-2.0

package strictjson_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/strictjson"
)

func TestWhatARecordRefuses(t *testing.T) {
	t.Parallel()
	closed := strictjson.Record{Name: "the record", Version: 1, Max: 40}
	open, plain := closed, closed
	open.Open, plain.Version = true, 0
	for _, c := range []struct {
		kind      strictjson.Record
		raw, want string
	}{
		{closed, `{"version":1,"a":2}`, ""},
		{closed, `{"version":1,"b":2}`, `the record is malformed: json: unknown field "b"`},
		{closed, `{"version":1,"a":2}{}`, "the record is malformed"},
		{closed, `{"a":2}`, "the record has version 0, and this build knows version 1"},
		{closed, `{"version":2,"b":2}`, "the record has version 2, and this build knows version 1"},
		{closed, `{"version":1,"a":2                       }`, "the record has 42 bytes, and 40 are allowed"},
		{open, `{"version":1,"a":2,"b":3}`, ""},
		{open, `{"version":1,"a":2}{}`, "the record is malformed"},
		{open, `{"version":2,"a":2}`, "the record has version 2, and this build knows version 1"},
		{plain, `{"version":7,"a":2}`, ""},
		{plain, `{"a":2,"b":3}`, `the record is malformed: json: unknown field "b"`},
	} {
		var into struct{ Version, A int }
		err := c.kind.Decode([]byte(c.raw), &into)
		if c.want == "" {
			require.NoError(t, err, c.raw)
			require.Equal(t, 2, into.A, c.raw)
			continue
		}
		require.ErrorContains(t, err, c.want, c.raw)
	}
}
