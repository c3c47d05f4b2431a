// SPDX-License-Identifier: MPL-2.0

// Package textedit changes pieces of somebody else's files, each of which must be there exactly once: a file that
// has changed since an edit was written is read again by a person, and not edited by chance.
package textedit

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
)

// Edit replaces one piece of a file.
type Edit struct {
	File string // below the folder that is edited
	Old  string // must be there exactly once
	New  string
	Why  string
}

// Apply makes the edits of one file.
func Apply(edits []Edit, file string, content []byte) ([]byte, error) {
	for _, e := range edits {
		if e.File != file {
			continue
		}
		if n := bytes.Count(content, []byte(e.Old)); n != 1 {
			return nil, fmt.Errorf("%s has %q %d times, not once: read it again and change the edit (it is there because %s)",
				file, e.Old, n, e.Why)
		}
		content = bytes.Replace(content, []byte(e.Old), []byte(e.New), 1)
	}
	return content, nil
}

// Identity is short and differs where the edits or the files that are added do.
func Identity(edits []Edit, added map[string]string) string {
	h := sha256.New()
	for _, e := range edits {
		_, _ = fmt.Fprintf(h, "%q %q %q\n", e.File, e.Old, e.New)
	}
	for _, name := range slices.Sorted(maps.Keys(added)) {
		_, _ = fmt.Fprintf(h, "%q %q\n", name, added[name])
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6])
}
