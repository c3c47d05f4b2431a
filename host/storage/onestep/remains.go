// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/hashicorp/vault/sdk/physical"
)

// File storage writes a row into a file with the row's name and some digits, and then renames the file. A kill in
// between leaves that file, which a listing shows as a row, and the folders that were made for it. A loss of power
// leaves a row that is empty, which reads as none, or a row that is no JSON.

// torn says whether a row cannot be read because its write was cut.
func (s *Store) torn(err error) bool {
	var syntax *json.SyntaxError
	return s.files && (errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &syntax))
}

// read reads a row past the cache. A row whose write was cut counts as none.
func (s *Store) read(ctx context.Context, key string) (*physical.Entry, error) {
	e, err := s.inner.Get(physical.CacheRefreshContext(ctx, true), key)
	if s.torn(err) {
		return nil, nil
	}
	return e, err
}

// sweep removes the files that cut writes of a step, or of its undoing, left beside its rows. A genuine row may have
// such a name, but it can be read and has another value.
func (s *Store) sweep(ctx context.Context, r *record) error {
	for i := range r.Rows {
		if !s.files {
			return nil
		}
		u := &r.Rows[i]
		dir, row := path.Split(u.Key)
		names, err := s.inner.List(ctx, dir)
		if err != nil {
			return fmt.Errorf("list of %s: %w", dir, err)
		}
		for _, name := range names {
			digits, ok := strings.CutPrefix(name, row)
			if !ok || digits == "" || strings.Trim(digits, "0123456789") != "" || r.row(dir+name) != nil {
				continue
			}
			e, err := s.read(ctx, dir+name)
			if err == nil && (e == nil || u.After.is(e) || printOf(u.entry()).is(e)) {
				err = s.inner.Delete(ctx, dir+name)
			}
			if err != nil {
				return fmt.Errorf("removal of what is left of %s: %w", u.Key, err)
			}
		}
	}
	return nil
}
