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

// File storage writes a row into a file of its name and some digits, and renames that. A kill in between leaves the
// file: a listing has it as a row, and the folders that were made for it. A loss of power leaves a row that is empty,
// which reads as none, or that is no JSON.

// torn says whether a row cannot be read because its write was cut.
func (s *Store) torn(err error) bool {
	var syntax *json.SyntaxError
	return s.files && (errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &syntax))
}

// read is a row past the cache. One whose write was cut is none.
func (s *Store) read(ctx context.Context, key string) (*physical.Entry, error) {
	e, err := s.inner.Get(physical.CacheRefreshContext(ctx, true), key)
	if s.torn(err) {
		return nil, nil
	}
	return e, err
}

// sweep removes what cut writes of the rows of a step, or of their undoing, have left beside them. A row of its own
// that has such a name can be read, and has another value.
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
