// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// jwtMax and bareMax bound a token in bytes. Vault's are below 600 and 120.
	jwtMax  = 8 << 10
	bareMax = 512
	// expiryLeeway allows for clocks that differ.
	expiryLeeway = 30 * time.Second
	// jwtAlgorithm is the only one Vault signs wrapping tokens with.
	jwtAlgorithm = "ES512"
)

// Token is an activation token whose form was checked. It is a secret.
type Token struct {
	// raw is sent whole: the primary checks the signature of the JWT form, which
	// it cannot when only the id inside is sent.
	raw string
	// Addr is the primary's API address in the token; empty when the token has
	// none (a bare wrapping token, or a primary without api_addr).
	Addr string
	// Expires is zero for a bare wrapping token.
	Expires time.Time
}

// claims are those of Vault's wrapping tokens. Pointers tell an absent claim
// from an empty one.
type claims struct {
	ID      *string      `json:"jti"`
	Type    *string      `json:"type"`
	Addr    *string      `json:"addr"`
	Expires *json.Number `json:"exp"`
}

// Parse checks an activation token: the JWT that secondary-token returns, or a
// bare wrapping token. Errors are InvalidInput, or Denied for an expired one;
// they never contain the token.
func Parse(raw string, now time.Time) (*Token, error) {
	raw = strings.TrimSpace(raw)
	switch {
	case raw == "":
		return nil, invalid("the activation token is empty: give the wrapping token that secondary-token returned on the " +
			"primary")
	case len(raw) > jwtMax:
		return nil, invalid("the activation token is longer than %d bytes, so it is not one: give the wrapping token that "+
			"secondary-token returned on the primary", jwtMax)
	case strings.HasPrefix(raw, "eyJ"):
		return parseJWT(raw, now)
	case len(raw) > bareMax || strings.IndexFunc(raw, notTokenRune) >= 0:
		return nil, invalid("the activation token is neither a JSON web token nor a wrapping token: check that it was " +
			"copied whole and without quotes")
	default:
		return &Token{raw: raw}, nil
	}
}

func parseJWT(raw string, now time.Time) (*Token, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return nil, invalid("the activation token is cut off: a JSON web token has three parts; copy it whole")
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	if err := decodePart(parts[0], &header); err != nil {
		return nil, err
	}
	if header.Algorithm != jwtAlgorithm {
		return nil, invalid("the activation token is not signed as Vault signs wrapping tokens (%s): use the one that "+
			"secondary-token returned", jwtAlgorithm)
	}
	var c claims
	if err := decodePart(parts[1], &c); err != nil {
		return nil, err
	}
	if signature, err := base64.RawURLEncoding.DecodeString(parts[2]); err != nil || len(signature) != 132 {
		// 132 bytes are the two numbers of an ES512 signature.
		return nil, invalid("the signature of the activation token is cut off or damaged: copy the token whole")
	}
	switch {
	case c.Type == nil || c.ID == nil || *c.ID == "" || c.Expires == nil:
		return nil, invalid("the activation token lacks one of the claims jti, type and exp: use the one that " +
			"secondary-token returned on the primary")
	case *c.Type != "wrapping":
		return nil, invalid("the token is of another type than \"wrapping\": use the one that secondary-token returned on " +
			"the primary")
	}
	seconds, err := c.Expires.Float64()
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return nil, invalid("the claim exp of the activation token is not a time: use the one that secondary-token " +
			"returned on the primary")
	}
	t := &Token{raw: raw, Expires: time.Unix(int64(seconds), 0)}
	if now.After(t.Expires.Add(expiryLeeway)) {
		return nil, expired(t.Expires)
	}
	if c.Addr != nil {
		t.Addr = *c.Addr
	}
	return t, nil
}

func expired(at time.Time) error {
	return denied("the activation token expired at %s: ask the primary for a new one with secondary-token",
		at.UTC().Format(time.RFC3339))
}

func decodePart(part string, into any) error {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return invalid("the activation token is damaged: it is not valid base64; copy it whole")
	}
	if err := json.Unmarshal(data, into); err != nil {
		// The cause would quote a piece of the token.
		return invalid("the activation token is damaged: its content is not valid JSON; copy it whole")
	}
	return nil
}

func notTokenRune(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
		return false
	}
	return true
}

func invalid(format string, args ...any) error {
	return replication.Errorf(replication.InvalidInput, format, args...)
}

func denied(format string, args ...any) error {
	return replication.Errorf(replication.Denied, format, args...)
}
