// SPDX-License-Identifier: MPL-2.0

// Package corpus gives fuzz tests their seeds: real encodings, and the same encodings cut,
// continued, or with false lengths.
//
// The files below testdata/fuzz were written by the encoders of their day. Each later build
// reads them, so that a decoder that no longer reads what older builds stored is found.
// With KeepEnv set, a run of the tests adds the encodings of today.
package corpus

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// KeepEnv is the environment variable that makes a run keep its seeds.
const KeepEnv = "VAULT_REPLICATION_KEEP_SEEDS"

// longer is how many bytes are added to an encoding.
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

// replaced replaces a byte by a false length.
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
	//nolint:gosec // a file of the source tree
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%x", sum[:8])), []byte(text), 0o644); err != nil {
		f.Fatal(err)
	}
}
