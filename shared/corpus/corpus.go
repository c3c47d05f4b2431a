// SPDX-License-Identifier: MPL-2.0

// Package corpus gives fuzz tests what they begin with: real encodings, and what comes
// of them when they are cut, continued, or claim lengths that they do not have.
//
// What is kept below testdata/fuzz was written by the encoders of a certain time. It is
// read by each later build, so that a decoder which no longer bears what older builds have
// stored is found; with KeepEnv set, a run of the tests adds the encodings of now.
package corpus

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// KeepEnv is the environment variable that has the seeds of a run kept.
const KeepEnv = "VAULT_REPLICATION_KEEP_SEEDS"

// longer is by how much an encoding is continued.
const longer = 64 << 10

// lie is the number 2^63-1 as a varint: a length that nothing has.
var lie = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}

// Add adds the seeds of valid encodings to a fuzz test of one []byte.
func Add(f *testing.F, valid ...[]byte) {
	f.Helper()
	f.Add([]byte{})
	for _, v := range valid {
		kept := [][]byte{v, v[:len(v)/2]}
		// After the checksum, the version, a first length.
		for _, at := range []int{0, 1, 4, 5, 6} {
			if at < len(v) {
				kept = append(kept, replaced(v, at))
			}
		}
		for _, seed := range kept {
			f.Add(seed)
			keep(f, seed)
		}
		f.Add(v[:max(0, len(v)-1)])
		f.Add(append(bytes.Clone(v), bytes.Repeat([]byte{'a'}, longer)...))
	}
}

// replaced puts a lie in the place of a byte.
func replaced(v []byte, at int) []byte {
	return append(append(bytes.Clone(v[:at]), lie...), v[at+1:]...)
}

func keep(f *testing.F, seed []byte) {
	f.Helper()
	if os.Getenv(KeepEnv) == "" {
		return
	}
	dir := filepath.Join("testdata", "fuzz", f.Name())
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // files of the source tree
		f.Fatal(err)
	}
	sum := sha256.Sum256(seed)
	text := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", seed)
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%x", sum[:8])), []byte(text), 0o644); err != nil { //nolint:gosec // a file of the source tree
		f.Fatal(err)
	}
}
