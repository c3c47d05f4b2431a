// SPDX-License-Identifier: MPL-2.0

package unstorable_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/errwrap"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/physical/raft"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/storage/unstorable"
)

type sqlError string

func (e sqlError) Error() string    { return "ERROR: something (SQLSTATE " + string(e) + ")" }
func (e sqlError) SQLState() string { return string(e) }

func TestOf(t *testing.T) {
	t.Parallel()
	entry := &physical.Entry{Key: "logical/key", Value: make([]byte, 99)}
	named := func(err syscall.Errno) error {
		return errwrap.Wrapf("failed: {{err}}", &fs.PathError{Op: "open", Path: "x", Err: err})
	}
	for name, tt := range map[string]struct {
		err  error
		want *unstorable.Refusal
	}{
		"nothing": {nil, nil},
		"raft, a value": {fmt.Errorf("%s, max value size for key %s is %d, got %d", physical.ErrValueTooLarge, "logical/key",
			90, 99),
			&unstorable.Refusal{Why: unstorable.Value, Size: 99, Limit: 90, Setting: "max_entry_size"}},
		"raft, a table": {fmt.Errorf("%s, max value size for key %s is %d, got %d", physical.ErrValueTooLarge, "core/mounts",
			90, 99),
			&unstorable.Refusal{Why: unstorable.Value, Size: 99, Limit: 90,
				Setting: "max_mount_and_namespace_table_entry_size"}},
		"raft, an entry of the log": {fmt.Errorf("%s; got %d bytes, max: %d bytes", physical.ErrValueTooLarge, 120, 90),
			&unstorable.Refusal{Why: unstorable.Value, Size: 99, Limit: 90, Setting: "max_entry_size"}},
		"raft, a key": {fmt.Errorf("%s, max key size for integrated storage is %d", physical.ErrKeyTooLarge, 32768),
			&unstorable.Refusal{Why: unstorable.Name, Size: 11, Limit: 32768}},
		"consul": {fmt.Errorf("%s: %w", physical.ErrValueTooLarge,
			errors.New(`Unexpected response code: 413 (Value for key "vault/x" is too large (600000 > 524288 bytes))`)),
			&unstorable.Refusal{Why: unstorable.Value, Size: 99, Limit: 524288, Setting: "Consul's kv_max_value_size"}},
		"consul, a request": {errors.New("Unexpected response code: 413 (Request body(700000 bytes) too large, max size: " +
			"524288 bytes. See https://x.)"),
			&unstorable.Refusal{Why: unstorable.Value, Size: 99, Limit: 524288, Setting: "Consul's txn_max_req_len"}},
		"inmem": {errors.New(physical.ErrValueTooLarge),
			&unstorable.Refusal{Why: unstorable.Value, Size: 99}},
		"a name of a file": {named(syscall.ENAMETOOLONG), &unstorable.Refusal{Why: unstorable.Name, Size: 11,
			Setting: "the file system's limit of names"}},
		"bytes of a file's name": {named(syscall.EILSEQ), &unstorable.Refusal{Why: unstorable.Form}},
		"a file in the way":      {named(syscall.ENOTDIR), &unstorable.Refusal{Why: unstorable.Form}},
		"a parent":               {consts.ErrPathContainsParentReferences, &unstorable.Refusal{Why: unstorable.Form}},
		"no text":                {physical.ErrNonUTF8, &unstorable.Refusal{Why: unstorable.Form}},
		"PostgreSQL, a row of an index": {fmt.Errorf("put: %w", sqlError("54000")),
			&unstorable.Refusal{Why: unstorable.Name, Size: 11, Setting: "PostgreSQL's limit of index rows and values"}},
		"PostgreSQL, a byte": {sqlError("22021"), &unstorable.Refusal{Why: unstorable.Form}},

		"a full disk":                 {named(syscall.ENOSPC), nil},
		"a quota":                     {named(syscall.EDQUOT), nil},
		"a broken disk":               {named(syscall.EIO), nil},
		"no permission":               {named(syscall.EACCES), nil},
		"too many files":              {named(syscall.EMFILE), nil},
		"a socket":                    {&os.SyscallError{Syscall: "connect", Err: syscall.EINVAL}, nil},
		"PostgreSQL, no memory":       {sqlError("53200"), nil},
		"PostgreSQL, a full disk":     {sqlError("53100"), nil},
		"PostgreSQL, going down":      {sqlError("57P01"), nil},
		"PostgreSQL, serialisation":   {sqlError("40001"), nil},
		"PostgreSQL, read-only":       {sqlError("25006"), nil},
		"the caller's end":            {context.Canceled, nil},
		"raft without a leader":       {errors.New("node is not the leader"), nil},
		"raft, in the value of a key": {errors.New("applying too large a number of things"), nil},
	} {
		require.Equal(t, tt.want, unstorable.Of(tt.err, entry), name)
		require.Equal(t, tt.want != nil, unstorable.Permanent(tt.err), name)
	}
}

// What real storages answer.
func TestOfRaft(t *testing.T) {
	t.Parallel()
	b, _ := raft.GetRaftWithConfig(t, true, true, map[string]string{
		"path": t.TempDir(), "node_id": "one", "max_entry_size": "10000", "trailing_logs": "100",
	})
	ctx := t.Context()
	value := &physical.Entry{Key: "logical/x", Value: make([]byte, 10001)}
	want := &unstorable.Refusal{Why: unstorable.Value, Size: 10001, Limit: 10000, Setting: "max_entry_size"}
	require.Equal(t, want, unstorable.Of(b.Put(ctx, value), value))
	require.Equal(t, want,
		unstorable.Of(b.Transaction(ctx, []*physical.TxnEntry{{Operation: physical.PutOperation, Entry: value}}), value))
	// Not the value alone, but it together with what raft puts around it.
	value.Value = value.Value[:9999]
	want.Size = 9999
	require.Equal(t, want, unstorable.Of(b.Put(ctx, value), value))
	name := &physical.Entry{Key: strings.Repeat("k", 40000), Value: []byte("v")}
	require.Equal(t, &unstorable.Refusal{Why: unstorable.Name, Size: 40000, Limit: 32768},
		unstorable.Of(b.Put(ctx, name), name))
	require.NoError(t, unstorable.Absent(b).Delete(ctx, name.Key))
	// Close alone closes the files below a raft that still runs, and raft panics at its next write to them.
	require.NoError(t, b.TeardownCluster(nil))
	require.NoError(t, b.Close())
	err := b.Put(ctx, &physical.Entry{Key: "k", Value: []byte("v")})
	require.Error(t, err)
	require.Nil(t, unstorable.Of(err, name), "a node that has ended may be back")
}

func TestFileStorage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	raw, err := file.NewFileBackend(map[string]string{"path": dir}, hclog.NewNullLogger())
	require.NoError(t, err)
	b := unstorable.Absent(raw)
	_, transactional := b.(physical.Transactional)
	require.False(t, transactional)
	ctx := t.Context()
	require.NoError(t, b.Put(ctx, &physical.Entry{Key: "a", Value: []byte("v")}))
	require.NoError(t, b.Put(ctx, &physical.Entry{Key: "_b/c", Value: []byte("v")}))
	for key, why := range map[string]unstorable.Why{
		strings.Repeat("n", 256):                unstorable.Name,
		strings.Repeat("n", 256) + "/below":     unstorable.Name,
		strings.Repeat("n", 247):                unstorable.Name, // its temporary file has a longer name
		strings.Repeat("directory/", 500) + "x": unstorable.Name,
		"nul\x00":                               unstorable.Form,
		"a..b":                                  unstorable.Form,
		"_a/below":                              unstorable.Form, // the file of a is in the way
	} {
		e := &physical.Entry{Key: key, Value: []byte("v")}
		refusal := unstorable.Of(b.Put(ctx, e), e)
		require.NotNil(t, refusal, key)
		require.Equal(t, why, refusal.Why, key)
		got, err := b.Get(ctx, key)
		require.NoError(t, err, key)
		require.Nil(t, got, key)
		require.NoError(t, b.Delete(ctx, key), key)
		names, err := b.List(ctx, key+"/")
		require.NoError(t, err, key)
		require.Empty(t, names, key)
	}
	// What fails for another reason fails.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "_broken"), []byte("no JSON"), 0o600))
	_, err = b.Get(ctx, "broken")
	require.Error(t, err)
}

func TestList(t *testing.T) {
	t.Parallel()
	l := &unstorable.List{}
	value := unstorable.Refusal{Why: unstorable.Value, Size: 5, Limit: 4, Setting: "max_entry_size"}
	require.True(t, l.Add("b\xff", value))
	require.True(t, l.Add("a", value))
	value.Size = 6
	require.False(t, l.Add("a", value))
	require.True(t, l.Add("c", unstorable.Refusal{Why: unstorable.Name, Size: 300}))
	l.Count(2)
	require.Equal(t, uint64(5), l.Len())
	b, err := l.Encode()
	require.NoError(t, err)
	again, err := unstorable.Decode(b)
	require.NoError(t, err)
	require.Equal(t, l, again)
	require.Equal(t, "2 of here (a value of 6 bytes, and its storage takes 4, see max_entry_size), 1 of here (a name of "+
		"300 bytes, and its storage takes less), about 2 more",
		again.Describe(func(string) string { return "here" }))
	clone := l.Clone()
	require.True(t, l.Remove("a"))
	require.False(t, l.Remove("a"))
	require.True(t, clone.Has("a"))
	require.Equal(t, uint64(4), l.Len())
}

func TestListIsBounded(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]func(i int) string{
		"keys":  func(i int) string { return fmt.Sprintf("key-%d", i) },
		"bytes": func(i int) string { return fmt.Sprintf("%02000d", i) },
	} {
		l := &unstorable.List{}
		for i := range 1000 {
			l.Add(key(i), unstorable.Refusal{Why: unstorable.Value, Size: 1 << 30, Limit: 1 << 20,
				Setting: "max_mount_and_namespace_table_entry_size"})
		}
		require.Equal(t, uint64(1000), l.Len(), name)
		require.NotZero(t, l.More(), name)
		b, err := l.Encode()
		require.NoError(t, err)
		require.Less(t, len(b), 128<<10, name)
		_, err = unstorable.Decode(b)
		require.NoError(t, err)
	}
}

// What a storage has stays readable, and is written as before.
func TestStoredSample(t *testing.T) {
	t.Parallel()
	const sample = `{"version":1,"keys":[{"key":"YQ==","why":"value","size":2,"limit":1,"setting":"s"}],"more":3}`
	l, err := unstorable.Decode([]byte(sample))
	require.NoError(t, err)
	again, err := l.Encode()
	require.NoError(t, err)
	require.JSONEq(t, sample, string(again))
	_, err = unstorable.Decode([]byte(`{"version":2}`))
	require.ErrorContains(t, err, "has version 2")
}

func FuzzDecode(f *testing.F) {
	l := &unstorable.List{}
	l.Add("a", unstorable.Refusal{Why: unstorable.Value, Size: 2, Limit: 1})
	b, err := l.Encode()
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{"version":1,"more":18446744073709551615,"keys":[{"key":""},{"key":""}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := unstorable.Decode(b)
		if err != nil {
			return
		}
		_ = l.Describe(func(string) string { return "x" })
		require.LessOrEqual(t, len(l.Keys()), unstorable.KeysMax)
		_, err = l.Encode()
		require.NoError(t, err)
	})
}

func TestNarrower(t *testing.T) {
	t.Parallel()
	raft := unstorable.Limits{Value: 1 << 20, ValueSetting: "max_entry_size", Key: 32768}
	raised := raft
	raised.Value = 2 << 20
	files := unstorable.Limits{Name: 244}
	require.Empty(t, unstorable.Narrower(raft, raft))
	require.Empty(t, unstorable.Narrower(raft, raised))
	require.Empty(t, unstorable.Narrower(files, files))
	said := unstorable.Narrower(raised, raft)
	require.Len(t, said, 1)
	require.Equal(t, "This cluster's storage takes values of up to 1048576 bytes, and the primary's takes up to "+
		"2097152: larger ones will be missing here, "+
		"and the status will say so; raise max_entry_size of this cluster.", said[0])
	said = unstorable.Narrower(raft, files)
	require.Len(t, said, 1)
	require.Contains(t, said[0], "names of up to 244 bytes between two slashes, and the primary's has no such limit")
	require.Len(t, unstorable.Narrower(files, raft), 2)
}
