// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"context"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// sentinels are the errors that Vault compares by identity. The names are part of the
// format.
var sentinels = []struct {
	name string
	err  error
}{
	{"logical.ErrUnsupportedOperation", logical.ErrUnsupportedOperation},
	{"logical.ErrUnsupportedPath", logical.ErrUnsupportedPath},
	{"logical.ErrInvalidRequest", logical.ErrInvalidRequest},
	{"logical.ErrPermissionDenied", logical.ErrPermissionDenied},
	{"logical.ErrInvalidToken", logical.ErrInvalidToken},
	{"logical.ErrInvalidCredentials", logical.ErrInvalidCredentials},
	{"logical.ErrMultiAuthzPending", logical.ErrMultiAuthzPending},
	{"logical.ErrUpstreamRateLimited", logical.ErrUpstreamRateLimited},
	{"logical.ErrPerfStandbyPleaseForward", logical.ErrPerfStandbyPleaseForward},
	{"logical.ErrLeaseCountQuotaExceeded", logical.ErrLeaseCountQuotaExceeded},
	{"logical.ErrRateLimitQuotaExceeded", logical.ErrRateLimitQuotaExceeded},
	{"logical.ErrUnrecoverable", logical.ErrUnrecoverable},
	{"logical.ErrMissingRequiredState", logical.ErrMissingRequiredState},
	{"logical.ErrPathFunctionalityRemoved", logical.ErrPathFunctionalityRemoved},
	{"logical.ErrNotFound", logical.ErrNotFound},
	{"logical.ErrReadOnly", logical.ErrReadOnly},
	{"logical.ErrSetupReadOnly", logical.ErrSetupReadOnly},
	{"logical.ErrRelativePath", logical.ErrRelativePath},
	{"logical.WriteErr", logical.WriteErr},
	{"consts.ErrSealed", consts.ErrSealed},
	{"consts.ErrAPILocked", consts.ErrAPILocked},
	{"consts.ErrStandby", consts.ErrStandby},
	{"consts.ErrPathContainsParentReferences", consts.ErrPathContainsParentReferences},
	{"consts.ErrInvalidWrappingToken", consts.ErrInvalidWrappingToken},
	{"consts.ErrOverloaded", consts.ErrOverloaded},
	{"context.Canceled", context.Canceled},
	{"context.DeadlineExceeded", context.DeadlineExceeded},
}

// sentinelName returns the name of err if err itself is a sentinel, else "".
func sentinelName(err error) string {
	for _, s := range sentinels {
		if err == s.err { //nolint:errorlint // identity is the question: what wraps a sentinel is described otherwise
			return s.name
		}
	}
	return ""
}

// sentinel returns the error of a name, nil if this version does not know it.
func sentinel(name string) error {
	for _, s := range sentinels {
		if s.name == name {
			return s.err
		}
	}
	return nil
}
