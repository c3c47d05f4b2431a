// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// secrets decides which headers of a request carry its token.
type secrets struct {
	values []string
	// bearer says that the token came in the Authorization header.
	bearer bool
}

func secretsOf(l *logical.Request) secrets {
	s := secrets{bearer: l.ClientTokenSource == logical.ClientTokenFromAuthzHeader}
	for _, v := range []string{l.ClientToken, l.InboundSSCToken} {
		if v != "" {
			s.values = append(s.values, v)
		}
	}
	return s
}

// sentWith adds the token as the client has sent it: at a backend it is salted or gone.
func (s secrets) sentWith(headers map[string][]string) secrets {
	for name, values := range headers {
		bearer := strings.EqualFold(name, "Authorization") && s.bearer
		if !bearer && !strings.EqualFold(name, consts.AuthHeaderName) {
			continue
		}
		for _, v := range values {
			if bearer {
				_, v, _ = strings.Cut(strings.TrimSpace(v), " ")
			}
			if v = strings.TrimSpace(v); v != "" {
				s.values = append(s.values, v)
			}
		}
	}
	return s
}

// without copies the headers, except those that carry the token. An Authorization header
// that is not the token stays: backends that ask for it to be passed through (OIDC clients)
// read it.
func (s secrets) without(headers map[string][]string) map[string][]string {
	if headers == nil {
		return nil
	}
	left := make(map[string][]string, len(headers))
	for name, values := range headers {
		if strings.EqualFold(name, consts.AuthHeaderName) || strings.EqualFold(name, "Authorization") &&
			(s.bearer || bearsToken(values)) || s.in(values) {
			continue
		}
		left[name] = values
	}
	return left
}

// bearsToken says whether a value has the form of Vault's own tokens. A client may
// send its token in two headers, and the request names one of them.
func bearsToken(values []string) bool {
	for _, v := range values {
		scheme, token, _ := strings.Cut(strings.TrimSpace(v), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		for _, prefix := range []string{consts.ServiceTokenPrefix, consts.BatchTokenPrefix, consts.RecoveryTokenPrefix} {
			if strings.HasPrefix(strings.TrimSpace(token), prefix) {
				return true
			}
		}
	}
	return false
}

func (s secrets) in(values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool {
		return slices.ContainsFunc(s.values, func(secret string) bool { return strings.Contains(v, secret) })
	})
}
