// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"errors"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
)

// isReadOnly says whether an error is the storage guard's, or that of the framework for an
// operation that has to be forwarded. A plugin in another process sends only the error's
// text. If nobody has wrapped it, the text is exactly that.
func isReadOnly(err error, external bool) bool {
	if err == nil {
		return false
	}
	return errors.Is(err, logical.ErrReadOnly) || external && err.Error() == logical.ErrReadOnly.Error()
}

// mentions says whether an error contains the guard's text. That alone proves nothing: a
// server that a backend talks to may say the same of itself.
func mentions(err error) bool { return err != nil && hasReadOnlyText(err.Error()) }

// tells says whether an answer has the guard's text where backends put an error. That alone
// proves nothing: a client may have stored the text that a read returns.
func tells(resp *logical.Response) bool {
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

// refusals are the refused writes that the guard noted while a backend ran a request.
type refusals struct {
	// marked: it refused a write of this very request.
	marked bool
	// counted: it refused a write of the mount meanwhile, of this request or another.
	counted bool
	// external: the backend is in another process, whose writes bear no mark.
	external bool
}

// wasRefused says whether a backend's answer means that it could not write.
func (r refusals) wasRefused(resp *logical.Response, err error, writes bool) bool {
	own := r.marked || r.external && r.counted
	return isReadOnly(err, r.external) || // the error itself
		writes && own || // whatever the backend has made of it
		own && tells(resp) ||
		(r.marked || r.counted) && mentions(err) // a backend may have lost the mark with the context
}
