// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// port is the cluster port of a cluster's first node.
func port(c *cluster.Cluster) string {
	return strings.TrimPrefix(c.Node(0).ClusterAddress(), "https://")
}

// knock offers protocols on the cluster port with the stolen certificate. What it found
// out is an error, unless it was let in: then it is nil.
func (s *stolen) knock(ctx context.Context, addr string, stall <-chan struct{}, protocols ...string) (served string,
	err error) {
	key, err := x509.ParsePKCS8PrivateKey(s.bundle.ClientKey)
	if err != nil {
		return "", err
	}
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer raw.Close() // over
	conn := tls.Client(raw, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: protocols,
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			served = state.PeerCertificates[0].Subject.CommonName
			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if stall != nil {
				select {
				case <-stall:
				case <-ctx.Done():
				}
			}
			return &tls.Certificate{Certificate: [][]byte{s.bundle.ClientCert}, PrivateKey: key}, nil
		},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return served, err
	}
	if err := raw.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return served, err
	}
	// Who speaks HTTP/2 hears from every server behind the port.
	if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		return served, err
	}
	_, err = conn.Read(make([]byte, 1))
	return served, err
}

const forwardingALPN = "req_fw_sb-act_v1"

// The certificate of a secondary is of no use at Vault's request forwarding, whatever a
// client offers beside replication's protocol and whatever changes on the node
// meanwhile: the leadership, or a role that restarts the core in place.
func TestACertificateIsOfNoUseAtRequestForwarding(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})
	require.NoError(t, primary.EnablePerformancePrimary(ctx))
	thief := steal(t, primary, "thief")
	addr := port(primary)
	_, err := thief.knock(ctx, addr, nil, "replication_dr_v1")
	require.NoError(t, err, "the certificate is good for what it is for")

	for name, change := range map[string]func() error{
		"step-down": func() error {
			return primary.Node(0).APIClient().Sys().StepDownWithContext(ctx)
		},
		"role": func() error {
			_, err := primary.Node(0).APIClient().Logical().WriteWithContext(ctx, cluster.PathPerformance+"primary/demote", nil)
			return err
		},
	} {
		var knocks sync.WaitGroup
		over, end := context.WithCancel(ctx)
		stall := make(chan struct{})
		// Some that come all along, and of each order of the protocols one that is in the
		// handshake when the change begins and goes on when it is over.
		for _, offers := range [][]string{{forwardingALPN, "replication_dr_v1"}, {"replication_dr_v1", forwardingALPN},
			{"replication_performance_v1", "replication_dr_v1"}} {
			knocks.Go(func() {
				for over.Err() == nil {
					served, err := thief.knock(over, addr, nil, offers...)
					if err == nil {
						t.Errorf("%s: %v was let in", name, offers)
					}
					if served != "" {
						t.Errorf("%s: %v was answered with the certificate of %q", name, offers, served)
					}
					select {
					case <-time.After(20 * time.Millisecond):
					case <-over.Done():
					}
				}
			})
			knocks.Go(func() {
				if _, err := thief.knock(ctx, addr, stall, offers...); err == nil {
					t.Errorf("%s: %v was let in after a stall", name, offers)
				}
			})
		}
		require.NoError(t, change())
		require.NoError(t, primary.WaitActive(ctx))
		cluster.Eventually(t, limit, "the port takes replication's connections again", func(ctx context.Context) error {
			_, err := thief.knock(ctx, addr, nil, "replication_dr_v1")
			return err
		})
		close(stall)
		end()
		knocks.Wait()
	}
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	require.NoError(t, secondary.WaitEqual(ctx, primary))
}

// A revocation takes effect at the host's own handshake, also while the plugin does not
// answer, which hears of it later.
func TestARevokedCertificateIsRefusedWithoutThePlugin(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})
	thief := steal(t, primary, "thief")
	addr := port(primary)
	_, err := thief.knock(ctx, addr, nil, "replication_dr_v1")
	require.NoError(t, err)
	_, hangUp, err := thief.dial(ctx)
	require.NoError(t, err)
	defer hangUp()

	pid, err := pluginProcess(primary)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	// The server may have given it up meanwhile and started another.
	goOn := func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
	defer goOn()
	secret, err := primary.Node(0).APIClient().Logical().WriteWithContext(ctx, cluster.PathRevokeSecondary,
		map[string]any{"id": "thief"})
	require.NoError(t, err)
	require.NotEmpty(t, secret.Warnings, "the plugin does not know yet")
	_, err = thief.knock(ctx, addr, nil, "replication_dr_v1")
	var refusal *net.OpError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "remote error", refusal.Op, "it is TLS that refuses: %v", err)

	goOn()
	require.NoError(t, primary.Node(0).WaitDR(ctx, "knows the revoked secondary no more", func(s *cluster.DRStatus) error {
		if slices.Contains(s.KnownSecondary, "thief") {
			return errors.New("it is still a known secondary")
		}
		return nil
	}))
	// The id may have another certificate. The former one stays out.
	cluster.Eventually(t, limit, "the plugin has heard of the revocation", func(ctx context.Context) error {
		_, err := primary.ActivationToken(ctx, "thief")
		return err
	})
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	require.NoError(t, primary.Restart(ctx, true))
	_, err = thief.knock(ctx, addr, nil, "replication_dr_v1")
	require.Error(t, err)
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
}

// A secondary that was revoked says so: it is refused before it can ask why.
func TestARevokedSecondaryKnowsWhy(t *testing.T) {
	parallel(t)
	ctx := t.Context()
	primary, secondary := pair(t, cluster.Options{})
	_, err := primary.Node(0).APIClient().Logical().WriteWithContext(ctx, cluster.PathRevokeSecondary,
		map[string]any{"id": secondary.ClusterID()})
	require.NoError(t, err)
	require.NoError(t, secondary.Node(0).WaitDR(ctx, "says that it was revoked", func(s *cluster.DRStatus) error {
		if !strings.Contains(s.LastError, "revoked") {
			return fmt.Errorf("last_error is %q", s.LastError)
		}
		return nil
	}))
}

// Hundreds of sockets on the cluster port that say nothing keep no secondary out that
// has to connect anew.
func TestSilentSocketsKeepNobodyOut(t *testing.T) {
	parallel(t)
	ctx, cancel := context.WithCancel(t.Context())
	primary, secondary := pair(t, cluster.Options{})
	addr := port(primary)
	var sockets, open sync.WaitGroup
	defer sockets.Wait()
	defer cancel()
	for range 300 {
		open.Add(1)
		sockets.Go(func() {
			opened := sync.OnceFunc(open.Done)
			defer opened()
			for ctx.Err() == nil {
				conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
				if err != nil {
					continue
				}
				opened()
				stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
				_, _ = conn.Read(make([]byte, 1)) // until the port hangs up
				stop()
				_ = conn.Close()
			}
		})
	}
	open.Wait()
	pid, err := pluginProcess(secondary)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	cluster.Eventually(t, limit, "the plugin of the secondary runs again", func(context.Context) error {
		again, err := pluginProcess(secondary)
		if err == nil && again == pid {
			err = errors.New("the killed process is still there")
		}
		return err
	})
	_, err = primary.Node(0).APIClient().Logical().WriteWithContext(ctx, "cubbyhole/beside", map[string]any{"x": "y"})
	require.NoError(t, err)
	require.NoError(t, secondary.Node(0).WaitStreaming(ctx))
	require.NoError(t, secondary.WaitEqual(ctx, primary))
}
