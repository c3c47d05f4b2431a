// SPDX-License-Identifier: MPL-2.0

package stored

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/vault/sdk/plugin/pb"
	"google.golang.org/protobuf/encoding/protodelim"
)

// stateFile is the file of a raft snapshot that has the storage's content.
const stateFile = "state.bin"

// readSnapshot is the content of a raft snapshot: storage entries one after the
// other, each after its length.
func readSnapshot(snapshot io.Reader) (map[string][]byte, error) {
	unzipped, err := gzip.NewReader(snapshot)
	if err != nil {
		return nil, fmt.Errorf("a snapshot cannot be unpacked: %w", err)
	}
	archive := tar.NewReader(unzipped)
	for {
		header, err := archive.Next()
		if err != nil {
			return nil, fmt.Errorf("a snapshot has no %s: %w", stateFile, err)
		}
		if header.Name == stateFile {
			return readEntries(bufio.NewReader(archive))
		}
	}
}

func readEntries(r *bufio.Reader) (map[string][]byte, error) {
	values := map[string][]byte{}
	for {
		var entry pb.StorageEntry
		err := protodelim.UnmarshalFrom(r, &entry)
		switch {
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return nil, fmt.Errorf("an entry of a snapshot cannot be read: %w", err)
		}
		values[entry.Key] = entry.Value
	}
}
