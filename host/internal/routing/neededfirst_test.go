// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/forward/wire"
	"github.com/vault-replication/vault-replication/host/storage/refusal"
	"github.com/vault-replication/vault-replication/host/vaultname"
)

// saltMaker is a primary whose ssh engine makes the salt of both clusters.
type saltMaker struct {
	asked   []*wire.Request
	arrives bool
	salt    bool
	err     error
}

func (s *saltMaker) Do(_ context.Context, req *wire.Request) (*wire.Answer, error) {
	s.asked = append(s.asked, req)
	s.salt = s.arrives
	return &wire.Answer{Response: logical.ErrorResponse("OTP not found")}, s.err
}

// The first one-time password of a mount is made where it can be used, with the salt of
// all clusters.
func TestFirstOneTimePasswordIsMadeHere(t *testing.T) {
	t.Parallel()
	ssh := vaultname.Mount{Path: "ssh/", Class: "secret", Type: "ssh", UUID: "u", Accessor: "a"}
	made := func(s *saltMaker) (*logical.Response, error) {
		b := Options{Forwarder: s}.Wrap(ssh,
			&engine{do: func(ctx context.Context, req *logical.Request) (*logical.Response, error) {
				require.Equal(t, map[string]any{"ip": "10.0.0.1"}, req.Data, "as the client sent it")
				req.Data["ip"] = "changed"
				if !s.salt {
					refusal.Note(ctx)
					return nil, logical.ErrReadOnly
				}
				return here()
			}})
		return b.HandleRequest(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: "creds/role",
			MountPoint: "ssh/", Data: map[string]any{"ip": "10.0.0.1"}})
	}
	s := &saltMaker{arrives: true}
	resp, err := made(s)
	require.NoError(t, err)
	require.Equal(t, "here", from(resp))
	require.Len(t, s.asked, 1)
	require.Equal(t, "verify", s.asked[0].Logical.Path)
	require.Equal(t, "ssh/", s.asked[0].MountPath)
	require.Equal(t, "u", s.asked[0].MountUUID)
	require.NotEmpty(t, s.asked[0].Logical.Data["otp"])
	_, err = made(s)
	require.NoError(t, err)
	require.Len(t, s.asked, 1, "the salt is here")

	var own *logical.ReplicationCodedError
	_, err = made(&saltMaker{})
	require.ErrorAs(t, err, &own, "it must not be made on the primary")
	require.Equal(t, http.StatusServiceUnavailable, own.Code)
	_, err = made(&saltMaker{err: errors.New("cut")})
	require.ErrorAs(t, err, &own)
	require.Equal(t, http.StatusConflict, own.Code)

	// A role of the same engine is the primary's.
	p := &primary{answer: remote("primary")}
	resp, err = Options{Forwarder: p}.Wrap(ssh,
		&engine{do: func(context.Context, *logical.Request) (*logical.Response, error) {
			return nil, logical.ErrReadOnly
		}}).HandleRequest(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: "roles/role"})
	require.NoError(t, err)
	require.Equal(t, "primary", from(resp))
}
