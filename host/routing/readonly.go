// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"errors"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
)

// saysReadOnly says whether a backend reports that it could not write, in one of
// the ways in which backends do.
func saysReadOnly(resp *logical.Response, err error) bool {
	if err != nil && (errors.Is(err, logical.ErrReadOnly) || hasReadOnlyText(err.Error())) {
		return true
	}
	if resp == nil {
		return false
	}
	switch e := resp.Data["error"].(type) {
	case string:
		return hasReadOnlyText(e)
	case error:
		return errors.Is(e, logical.ErrReadOnly) || hasReadOnlyText(e.Error())
	}
	return false
}

func hasReadOnlyText(s string) bool { return strings.Contains(s, logical.ErrReadOnly.Error()) }
