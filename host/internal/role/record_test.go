// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// memory is a store behind an open barrier.
type memory struct {
	rows map[string][]byte
	err  error
}

func (m *memory) GetEntry(_ context.Context, key string) ([]byte, error) { return m.rows[key], m.err }

func (m *memory) ListEntries(_ context.Context, prefix string) ([]string, error) {
	seen := map[string]bool{}
	var out []string
	for key := range m.rows {
		if len(key) <= len(prefix) || key[:len(prefix)] != prefix {
			continue
		}
		rest := key[len(prefix):]
		for i := range len(rest) {
			if rest[i] == '/' {
				rest = rest[:i+1]
				break
			}
		}
		if !seen[rest] {
			seen[rest] = true
			out = append(out, rest)
		}
	}
	return out, m.err
}

func drSecondary() *Record {
	r := disabledRecord()
	r.DR = ModeRecord{
		Role: replication.Secondary, SetID: "set", Epoch: replication.Epoch{Generation: 1, ID: "e"},
		IndexKey: make([]byte, 32), SecondaryID: "b", Pairing: []byte{1},
	}
	return r
}

// The field is left out when it says nothing, so that builds that do not know it can read the record.
func TestOnlyContestedRolesAreRecordedSo(t *testing.T) {
	t.Parallel()
	r := drSecondary()
	raw, err := r.encode()
	require.NoError(t, err)
	require.NotContains(t, string(raw), "contested")
	r.DR.Contested = true
	raw, err = r.encode()
	require.NoError(t, err)
	got, err := decodeRecord(raw)
	require.NoError(t, err)
	require.True(t, got.DR.Contested)
}

func TestRecordSurvivesEncoding(t *testing.T) {
	t.Parallel()
	raw, err := drSecondary().encode()
	require.NoError(t, err)
	require.JSONEq(t, `{"version":1,"dr":{"role":"secondary","set_id":"set","epoch":{"Generation":1,"ID":"e"},"index_key":`+
		`"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","secondary_id":"b","pairing":"AQ=="},"performance":`+
		`{"role":"disabled","epoch":{"Generation":0,"ID":""}}}`, string(raw), "the form in storage")
	got, err := loadRecord(context.Background(), &memory{rows: map[string][]byte{recordKey: raw}})
	require.NoError(t, err)
	require.Equal(t, drSecondary(), got)
	require.True(t, got.word(false).HasState(consts.ReplicationDRSecondary))
	require.True(t, got.word(false).HasState(consts.ReplicationPerformanceDisabled))
}

func TestRecordFailsClosed(t *testing.T) {
	t.Parallel()
	both := drSecondary()
	both.Performance = both.DR
	bothRaw, err := both.encode()
	require.NoError(t, err)
	tests := map[string]struct {
		store *memory
		err   string
	}{
		"unreadable": {&memory{err: errors.New("cipher: message authentication failed")}, "cannot be read"},
		"malformed":  {&memory{rows: map[string][]byte{recordKey: []byte("{")}}, "malformed"},
		"empty":      {&memory{rows: map[string][]byte{recordKey: []byte("{}")}}, "version 0"},
		"newer":      {&memory{rows: map[string][]byte{recordKey: []byte(`{"version":2,"x":1}`)}}, "version 2"},
		"unknown field": {&memory{rows: map[string][]byte{recordKey: []byte(`{"version":1,"x":1}`)}},
			"unknown field"},
		"unknown role": {&memory{rows: map[string][]byte{recordKey: []byte(`{"version":1,"dr":{"role":"leader"}}`)}},
			`role "leader" is unknown`},
		"without a set": {
			&memory{rows: map[string][]byte{recordKey: []byte(`{"version":1,"dr":{"role":"secondary"}}`)}},
			"no replication set"},
		"two roles": {&memory{rows: map[string][]byte{recordKey: bothRaw}}, "another role"},
		"removed":   {&memory{rows: map[string][]byte{hadRoleKey: hadRole}}, "has had a role"},
		"removed with the mark": {&memory{rows: map[string][]byte{records.OfMode(replication.DR) + "state/x": {1}}},
			"is missing"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := loadRecord(context.Background(), tt.store)
			require.ErrorContains(t, err, tt.err)
		})
	}
}

func (m *memory) PutEntry(_ context.Context, key string, value []byte) error {
	m.rows[key] = value
	return m.err
}

// A cluster of a version without the mark opens and has the mark from then on. After that it does not open without its
// role, whatever other records are gone.
func TestRoleOfFormerVersionIsMarked(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	raw, err := drSecondary().encode()
	require.NoError(t, err)
	m := &memory{rows: map[string][]byte{recordKey: raw}}
	_, err = loadRecord(ctx, m)
	require.NoError(t, err)
	require.NoError(t, markHadRole(ctx, m))
	delete(m.rows, recordKey)
	_, err = loadRecord(ctx, m)
	require.ErrorContains(t, err, "must not be unsealed")

	never := &memory{rows: map[string][]byte{PluginPrefix + "x": {1}}}
	require.NoError(t, markHadRole(ctx, never))
	_, err = loadRecord(ctx, never)
	require.NoError(t, err, "a cluster that never had a role")
}

// The mark belongs to this cluster alone, and no record of a plugin can have its name.
func TestNobodyElseReachesTheMark(t *testing.T) {
	t.Parallel()
	require.Equal(t, keyclass.Own, new(keyclass.Classifier).Class(hadRoleKey))
	for _, r := range []*Record{drSecondary(), disabledRecord()} {
		rows := map[string][]byte{}
		require.NoError(t, withRole(rows, r))
		require.NotNil(t, rows[hadRoleKey])
	}
	for _, name := range []string{"../../had-role", "..//../had-role", "./../../had-role"} {
		require.Error(t, records.CheckName(name))
	}
}

func TestNoRecordMeansDisabled(t *testing.T) {
	t.Parallel()
	r, err := loadRecord(context.Background(), &memory{})
	require.NoError(t, err)
	require.Equal(t, disabledRecord(), r)
}

// Remains of a cut write in a listing are no record: a folder, or an empty file beside it.
func TestOnlyARecordSaysThatThereWasARole(t *testing.T) {
	t.Parallel()
	for _, left := range []string{records.OfPlugin(replication.DR) + "secondary/bundle753537086", inheritedKey,
		hadRoleKey} {
		r, err := loadRecord(context.Background(), &memory{rows: map[string][]byte{left: nil}})
		require.NoError(t, err, left)
		require.Equal(t, disabledRecord(), r)
	}
}

func TestStateNames(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"ca", "secondaries/b_1", "a.b-c/d"} {
		require.NoError(t, records.CheckName(good))
	}
	for _, bad := range []string{"", "/a", "a/", "a//b", "../role", "a/../b", "a b", "a\x00"} {
		require.Error(t, records.CheckName(bad), "%q", bad)
	}
}

func TestListBelow(t *testing.T) {
	t.Parallel()
	m := &memory{rows: map[string][]byte{"p/a": nil, "p/b/c": nil, "p/b/d/e": nil, "q/x": nil}}
	names, err := records.Below(context.Background(), m, "p/")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b/c", "b/d/e"}, names)
}

// Until its first copy has ended, a performance secondary must not be built as one: its content is not yet what it will
// serve.
func TestBootstrappingIsBuiltAsADRSecondary(t *testing.T) {
	t.Parallel()
	r := disabledRecord()
	r.Performance = drSecondary().DR
	require.True(t, r.word(false).HasState(consts.ReplicationPerformanceSecondary))
	require.False(t, r.word(false).HasState(consts.ReplicationDRSecondary))
	require.True(t, r.word(true).HasState(consts.ReplicationDRSecondary))
	require.Equal(t, "bootstrapping", r.word(true).GetPerformanceString())
}

// A promoted DR secondary takes over its primary's role in performance replication. Before that it never overwrites
// what its primary has sent.
func TestRoleOfThePrimaryIsInherited(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	primary := disabledRecord()
	primary.DR, primary.Performance = drSecondary().DR, drSecondary().DR
	primary.DR.Role, primary.Performance.Role = replication.Primary, replication.Primary
	rows := map[string][]byte{}
	require.NoError(t, withRole(rows, primary))

	sent := &memory{rows: map[string][]byte{inheritedKey: rows[inheritedKey]}}
	got, err := inherited(ctx, sent)
	require.NoError(t, err)
	require.Equal(t, &primary.Performance, got)

	own := map[string][]byte{}
	require.NoError(t, withRole(own, drSecondary()))
	require.NotContains(t, own, inheritedKey)

	none, err := inherited(ctx, &memory{})
	require.NoError(t, err)
	require.Equal(t, replication.Disabled, none.Role)
	_, err = inherited(ctx, &memory{rows: map[string][]byte{inheritedKey: []byte("{")}})
	require.ErrorContains(t, err, "cannot be used")
}
