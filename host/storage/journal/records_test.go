// SPDX-License-Identifier: MPL-2.0

package journal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/journal"
)

// What a storage has stays readable, is written as before, and may have fields of a later build.
func TestStoredSamples(t *testing.T) {
	t.Parallel()
	const at = `{"Epoch":{"Generation":3,"ID":"e"},"Term":2,"Sequence":7}`
	type record interface{ Encode() ([]byte, error) }
	for what, c := range map[string]struct {
		sample string
		decode func(b []byte) (record, error)
	}{
		"head": {
			`{"version":1,"term":4,"reserved":30,"finished":20,"ended":true,"rows_after":3,"terms":[{"term":4,"first":5}]}`,
			func(b []byte) (record, error) { return journal.DecodeHead(b) },
		},
		"slot": {
			`{"version":1,"id":"west","acked":` + at + `,"opened":5,"lost":"cap","cut":2,"heard":9}`,
			func(b []byte) (record, error) { return journal.DecodeSlot(b) },
		},
		"cursor": {
			`{"version":1,"position":` + at + `,"copying":true,"copy_from":` + at + `,"copied_up_to":"YQ==","copied_keys":9,` +
				`"consistent_from":8,"copied_all":true,"copy_as_of":6,"diffing":true,"must_copy":true,"missing":1,"given":"eA=="}`,
			func(b []byte) (record, error) { return journal.DecodeCursor(b) },
		},
	} {
		r, err := c.decode([]byte(c.sample))
		require.NoError(t, err, what)
		again, err := r.Encode()
		require.NoError(t, err, what)
		require.JSONEq(t, c.sample, string(again), what)
		_, err = c.decode([]byte(`{"later":1,` + c.sample[1:]))
		require.NoError(t, err, what)
		_, err = c.decode([]byte(`{"version":2,` + c.sample[len(`{"version":1,`):]))
		require.ErrorIs(t, err, journal.ErrCorrupt, what)
		require.ErrorContains(t, err, "version 2", what)
	}
}
