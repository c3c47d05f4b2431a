// SPDX-License-Identifier: MPL-2.0

package onestep

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/hashicorp/vault/sdk/physical"
)

// A kill inside a write of file storage leaves the folders that were made for the row (see package wholefile). A loss
// of power leaves a row that is empty, which reads as none, or a row that is no JSON.

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
