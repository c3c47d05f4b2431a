// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/plugin/engine/link"
	"github.com/vault-replication/vault-replication/plugin/engine/trust"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
)

// stolen is what a thief has who unwrapped a secondary's activation token.
type stolen struct {
	payload *activation.Payload
	bundle  *trust.Bundle
}

// steal makes an activation token and unwraps it over the API, as anybody may who
// holds it.
func steal(t *testing.T, primary *cluster.Cluster, id string) *stolen {
	t.Helper()
	token, err := primary.ActivationToken(t.Context(), id)
	require.NoError(t, err)
	secret, err := unwrap(t, primary, token)
	require.NoError(t, err)
	payload, err := activation.Open(secret.Data)
	require.NoError(t, err)
	bundle, err := trust.DecodeBundle(payload.Bundle, time.Now())
	require.NoError(t, err)
	return &stolen{payload: payload, bundle: bundle}
}

// unwrap spends a wrapping token, which is its own permission.
func unwrap(t *testing.T, primary *cluster.Cluster, token string) (*api.Secret, error) {
	client := primary.Node(0).Anonymous()
	client.SetToken(token)
	return client.Logical().UnwrapWithContext(t.Context(), "")
}

// dial connects to the primary's cluster port with the stolen certificate.
func (s *stolen) dial(ctx context.Context) (linkv1.LinkClient, func(), error) {
	ca, err := x509.ParseCertificate(s.bundle.CACert)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(s.bundle.ClientKey)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	dialer := &tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: trust.ServerName(s.bundle.SetID),
		NextProtos:   []string{"replication_dr_v1"},
		Certificates: []tls.Certificate{{Certificate: [][]byte{s.bundle.ClientCert}, PrivateKey: key}},
	}}
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(s.bundle.Addresses[0], "https://"))
	if err != nil {
		return nil, nil, err
	}
	client, err := link.NewClientConn(conn)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return linkv1.NewLinkClient(client), func() { _ = client.Close() }, nil
}

func (s *stolen) bootstrap(ctx context.Context, id string) error {
	client, end, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer end()
	_, err = client.Bootstrap(ctx, &linkv1.BootstrapRequest{
		Version: link.ProtocolVersion, SetId: s.bundle.SetID, SecondaryId: id, Challenge: make([]byte, 32),
	})
	return err
}

// A certificate proves one id. With that of one secondary a thief reaches nothing in the
// name of another, whatever he claims to be, and nothing at all once it is revoked. The
// others go on.
func TestCertificateOfAnotherSecondaryIsOfNoUse(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, first := pair(t, cluster.Options{})
	second := cluster.New(t, cluster.Options{Name: "second", Binary: product(t), CA: primary.Options().CA})
	require.NoError(t, second.JoinDR(ctx, primary))
	thief := steal(t, primary, "third")
	require.NoError(t, thief.bootstrap(ctx, "third"), "the certificate is good in its own name")

	t.Run("another id in the first message", func(t *testing.T) {
		for _, id := range []string{first.ClusterID(), second.ClusterID(), "", "never-known"} {
			require.Equal(t, codes.PermissionDenied, status.Code(thief.bootstrap(ctx, id)), "bootstrap as %q", id)
			client, end, err := thief.dial(ctx)
			require.NoError(t, err)
			_, err = client.Hello(ctx, &linkv1.HelloRequest{Version: link.ProtocolVersion, SetId: thief.bundle.SetID,
				SecondaryId: id})
			end()
			require.Equal(t, codes.PermissionDenied, status.Code(err), "hello as %q: %v", id, err)
		}
	})
	t.Run("a copy or a stream before any hello", func(t *testing.T) {
		client, end, err := thief.dial(ctx)
		require.NoError(t, err)
		defer end()
		copied, err := client.Copy(ctx, &linkv1.CopyRequest{})
		if err == nil {
			_, err = copied.Recv()
		}
		require.Error(t, err)
	})
	t.Run("a second use of the token", func(t *testing.T) {
		other := cluster.New(t, cluster.Options{Name: "other", Binary: product(t), CA: primary.Options().CA})
		_, err := other.Node(0).APIClient().Logical().Write("cubbyhole/mine", map[string]any{"still": "here"})
		require.NoError(t, err)
		token, err := primary.ActivationToken(ctx, "fourth")
		require.NoError(t, err)
		_, err = unwrap(t, primary, token)
		require.NoError(t, err)
		requireRefused(t, other, cluster.PathSecondaryEnable,
			map[string]any{"token": token, "ca_file": primary.GetCACertPEMFile()}, "used")
		requireUntouched(t, other)
	})
	t.Run("the id of another secondary", func(t *testing.T) {
		requireRefused(t, primary, cluster.PathSecondaryToken, map[string]any{"id": first.ClusterID()}, first.ClusterID())
	})

	// None of it has disturbed the two, and none of it shows as a connection of theirs.
	for _, c := range []*cluster.Cluster{first, second} {
		require.NoError(t, c.Node(0).WaitStreaming(ctx))
		require.NoError(t, c.WaitEqual(ctx, primary))
	}
	_, err := primary.Node(0).APIClient().Logical().Write(cluster.PathRevokeSecondary, map[string]any{"id": "third"})
	require.NoError(t, err)
	for _, id := range []string{"third", first.ClusterID()} {
		require.Error(t, thief.bootstrap(ctx, id), "the certificate is revoked, as %q", id)
	}
	_, err = primary.Node(0).APIClient().Logical().Write(cluster.PathRevokeSecondary,
		map[string]any{"id": second.ClusterID()})
	require.NoError(t, err)
	require.NoError(t, second.Node(0).WaitDR(ctx, "is cut", func(s *cluster.DRStatus) error {
		if s.State == "stream-wals" || s.ConnectionState == "ready" {
			return fmt.Errorf("still %s, %s", s.State, s.ConnectionState)
		}
		return nil
	}))
	_, err = primary.Node(0).APIClient().Logical().Write("cubbyhole/after", map[string]any{"x": "y"})
	require.NoError(t, err)
	require.NoError(t, first.WaitEqual(ctx, primary))
	require.NoError(t, primary.Restart(ctx, false))
	require.Error(t, thief.bootstrap(ctx, "third"), "the revocation is durable")
	require.NoError(t, first.Node(0).WaitStreaming(ctx))
	code, _ := call(ctx, t, first, http.MethodGet, "sys/health")
	require.Equal(t, 472, code)
}
