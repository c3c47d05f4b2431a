// SPDX-License-Identifier: MPL-2.0

package stored

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"testing"

	"github.com/hashicorp/vault/sdk/plugin/pb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

func snapshotOf(t *testing.T, name string, content []byte) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for file, content := range map[string][]byte{"meta.json": []byte("{}"), name: content} {
		require.NoError(t, archive.WriteHeader(&tar.Header{Name: file, Mode: 0o600, Size: int64(len(content))}))
		_, err := archive.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	require.NoError(t, zipped.Close())
	return &out
}

func TestReadSnapshot(t *testing.T) {
	t.Parallel()
	var state bytes.Buffer
	for key, value := range map[string]string{"core/mounts": "one", "sys/policy/default": ""} {
		_, err := protodelim.MarshalTo(&state, &pb.StorageEntry{Key: key, Value: []byte(value)})
		require.NoError(t, err)
	}
	values, err := readSnapshot(snapshotOf(t, stateFile, state.Bytes()))
	require.NoError(t, err)
	require.Len(t, values, 2)
	require.Equal(t, []byte("one"), values["core/mounts"])

	_, err = readSnapshot(snapshotOf(t, stateFile, state.Bytes()[:state.Len()-1]))
	require.ErrorContains(t, err, "cannot be read", "cut off")
	_, err = readSnapshot(snapshotOf(t, "other.bin", state.Bytes()))
	require.ErrorContains(t, err, "has no "+stateFile)
	_, err = readSnapshot(&state)
	require.ErrorContains(t, err, "cannot be unpacked")
}

func storeOf(t *testing.T, values map[string]string, mounts ...vaultname.Mount) *Store {
	t.Helper()
	known := keyclass.NewMounts()
	for table := range keyclass.Tables {
		var have []vaultname.Mount
		if table == "core/mounts" {
			have = mounts
		}
		_, err := known.SetTable(table, have)
		require.NoError(t, err)
	}
	s := &Store{Values: map[string][]byte{}}
	for key, value := range values {
		s.Values[key] = []byte(value)
	}
	s.Classes.SetMounts(known)
	return s
}

func TestCompare(t *testing.T) {
	t.Parallel()
	pki, local := vaultname.Mount{UUID: "p", Type: "pki"}, vaultname.Mount{UUID: "l", Type: "kv", Local: true}
	store := func(values map[string]string, mounts ...vaultname.Mount) *Store {
		return storeOf(t, values, append(mounts, pki)...)
	}
	for name, tc := range map[string]struct {
		primary, secondary *Store
		problem, settling  string
	}{
		"right": {
			primary: store(map[string]string{"core/mounts": "a", "logical/p/certs/1": "a", "logical/p/config/urls": "a",
				"core/lock": "a", "sys/token/id/1": "a"}),
			secondary: store(map[string]string{"core/mounts": "a", "logical/p/certs/1": "b", "logical/p/config/urls": "a",
				"core/lock": "b", "logical/l/a": "a"}, local),
		},
		"no class on the primary": {primary: store(map[string]string{"core/odd": "a"}), secondary: store(nil),
			problem: "core/odd: has no class on the primary"},
		"no class on the secondary": {primary: store(nil), secondary: store(map[string]string{"logical/u/a": "a"}),
			problem: "logical/u/a: has no class on the secondary"},
		"another class": {
			primary:   store(map[string]string{"logical/l/a": "a"}, vaultname.Mount{UUID: "l", Type: "kv"}),
			secondary: store(map[string]string{"logical/l/a": "b"}, local),
			problem:   "logical/l/a: has two classes: shared on the primary, local on the secondary",
		},
		"a local mount that left": {
			primary:   store(map[string]string{"logical/l/a": "a"}, local),
			secondary: store(map[string]string{"logical/l/a": "a"}), problem: "logical/l/a: has no class on the secondary",
		},
		"a local key that was sent": {
			primary:   store(map[string]string{"logical/p/certs/1": "a"}),
			secondary: store(map[string]string{"logical/p/certs/1": "a"}), problem: "logical/p/certs/1: local, and both",
		},
		"an own key that was sent": {
			primary:   store(map[string]string{"core/hsm/barrier-unseal-keys": "a"}),
			secondary: store(map[string]string{"core/hsm/barrier-unseal-keys": "a"}),
			problem:   "core/hsm/barrier-unseal-keys: own, and both",
		},
		"missing": {primary: store(map[string]string{"core/mounts": "a"}), secondary: store(nil),
			settling: "core/mounts: shared, and the secondary does not have it"},
		"too much": {primary: store(nil), secondary: store(map[string]string{"core/mounts": "a"}),
			settling: "core/mounts: shared, and only the secondary has it"},
		"other": {primary: store(map[string]string{"core/mounts": "a"}),
			secondary: store(map[string]string{"core/mounts": "b"}), settling: "core/mounts: shared, and its values differ"},
	} {
		problems, settling := Compare(tc.primary, tc.secondary)
		for got, want := range map[*[]string]string{&problems: tc.problem, &settling: tc.settling} {
			if want == "" {
				require.Empty(t, *got, name)
				continue
			}
			require.Len(t, *got, 1, name)
			require.Contains(t, (*got)[0], want, name)
		}
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	s := storeOf(t, map[string]string{
		"logical/p/certs/1": "", "logical/p/config/urls": "", "logical/l/a": "", "core/mounts": "", "sys/token/id/1": "",
		"sys/token/roles/r": "", "core/odd": "",
	}, vaultname.Mount{UUID: "p", Type: "pki"}, vaultname.Mount{UUID: "l", Type: "kv", Local: true})
	require.Equal(t, map[string]int{"logical/pki": 2, "logical/pki certs/": 1, "logical/kv": 1, "logical/kv local": 1},
		s.Mounted())
	require.Equal(t, map[string]int{"logical/": 3, "core/mounts": 1, "sys/token/": 1, "sys/token/roles/": 1}, s.Decided())
	require.Len(t, s.Keys(), 7)
}
