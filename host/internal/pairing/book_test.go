// SPDX-License-Identifier: MPL-2.0

package pairing

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// memory is a store that can fail.
type memory struct {
	mu       sync.Mutex
	rows     map[string][]byte
	noDelete bool
}

func (m *memory) GetEntry(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.rows[key]), nil
}

func (m *memory) PutEntry(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[key] = bytes.Clone(value)
	return nil
}

func (m *memory) DeleteEntry(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.noDelete {
		return errors.New("the disk is gone")
	}
	delete(m.rows, key)
	return nil
}

func (m *memory) ListEntries(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for key := range m.rows {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func newBook() (*Book, *memory) {
	m := &memory{rows: map[string][]byte{}}
	return New(m, func(mode replication.Mode) string { return "core/replication/" + string(mode) + "/" }), m
}

func certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert
}

var key = bytes.Repeat([]byte{7}, KeySize)

func denied(t *testing.T, b *Book, mode replication.Mode, leaf *x509.Certificate) {
	t.Helper()
	_, err := b.Admit(t.Context(), mode, leaf)
	require.Equal(t, replication.Denied, replication.KindOf(err), "%v", err)
}

func TestOnlyTheRecordedCertificateIsLetIn(t *testing.T) {
	t.Parallel()
	b, _ := newBook()
	west := certificate(t, "west")
	denied(t, b, replication.DR, west)
	require.NoError(t, b.Add(t.Context(), replication.DR, "west", west.Raw, key))
	id, err := b.Admit(t.Context(), replication.DR, west)
	require.NoError(t, err)
	require.Equal(t, "west", id)
	got, err := b.Key(t.Context(), replication.DR, "west")
	require.NoError(t, err)
	require.Equal(t, key, got)

	denied(t, b, replication.Performance, west)
	denied(t, b, replication.DR, certificate(t, "west"))
	denied(t, b, replication.DR, certificate(t, "east"))
	_, err = b.Key(t.Context(), replication.DR, "east")
	require.Equal(t, replication.Denied, replication.KindOf(err))

	// A plugin cannot put its own certificate in another's place, or one of another name.
	require.Error(t, b.Add(t.Context(), replication.DR, "east", west.Raw, key))
	require.Error(t, b.Add(t.Context(), replication.DR, "east", []byte("none"), key))
	_, err = b.Admit(t.Context(), replication.DR, west)
	require.NoError(t, err)
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	b, m := newBook()
	west := certificate(t, "west")
	known, err := b.Revoke(t.Context(), replication.DR, "west")
	require.NoError(t, err)
	require.False(t, known)
	require.Empty(t, m.rows)
	require.NoError(t, b.Add(t.Context(), replication.DR, "west", west.Raw, key))
	known, err = b.Revoke(t.Context(), replication.DR, "west")
	require.NoError(t, err)
	require.True(t, known)
	denied(t, b, replication.DR, west)
	_, err = b.Key(t.Context(), replication.DR, "west")
	require.Equal(t, replication.Denied, replication.KindOf(err))
	require.Equal(t, replication.Unavailable,
		replication.KindOf(b.Add(t.Context(), replication.DR, "west", certificate(t, "west").Raw, key)),
		"the plugin would revoke it")

	untold, err := b.Untold(t.Context(), replication.DR)
	require.NoError(t, err)
	require.Equal(t, []string{"west"}, untold)
	require.NoError(t, b.Told(t.Context(), replication.DR, "west"))
	untold, err = b.Untold(t.Context(), replication.DR)
	require.NoError(t, err)
	require.Empty(t, untold)
	denied(t, b, replication.DR, west)
}

// An id that is used again has its newest certificate alone, also after a crash.
func TestAnIDIsUsedAgain(t *testing.T) {
	t.Parallel()
	b, m := newBook()
	var certs []*x509.Certificate
	add := func() error {
		certs = append(certs, certificate(t, "west"))
		return b.Add(t.Context(), replication.DR, "west", certs[len(certs)-1].Raw, key)
	}
	onlyLast := func() {
		for i, cert := range certs {
			_, err := b.Admit(t.Context(), replication.DR, cert)
			require.Equal(t, i == len(certs)-1, err == nil, "certificate %d of %d: %v", i, len(certs), err)
		}
	}
	require.NoError(t, add())
	require.NoError(t, add())
	onlyLast()
	_, err := b.Revoke(t.Context(), replication.DR, "west")
	require.NoError(t, err)
	require.NoError(t, b.Told(t.Context(), replication.DR, "west"))
	m.noDelete = true
	require.Error(t, add())
	for _, cert := range certs {
		denied(t, b, replication.DR, cert)
	}
	m.noDelete = false
	require.NoError(t, add())
	onlyLast()
}

// A revocation that a crash has cut in two holds, and can be ended.
func TestACutRevocationHolds(t *testing.T) {
	t.Parallel()
	b, m := newBook()
	west := certificate(t, "west")
	require.NoError(t, b.Add(t.Context(), replication.DR, "west", west.Raw, key))
	m.noDelete = true
	_, err := b.Revoke(t.Context(), replication.DR, "west")
	require.Error(t, err)
	denied(t, b, replication.DR, west)
	_, err = b.Key(t.Context(), replication.DR, "west")
	require.Equal(t, replication.Denied, replication.KindOf(err))
	m.noDelete = false
	known, err := b.Revoke(t.Context(), replication.DR, "west")
	require.NoError(t, err)
	require.True(t, known)
	require.Len(t, m.rows, 1)
}

// Release 0.1.0 recorded no certificates: the first of an id is taken, and no other.
func TestAPairingWithoutACertificate(t *testing.T) {
	t.Parallel()
	b, m := newBook()
	m.rows[b.paired(replication.DR, "west")] = key
	west := certificate(t, "west")
	_, err := b.Admit(t.Context(), replication.DR, west)
	require.NoError(t, err)
	denied(t, b, replication.DR, certificate(t, "west"))
	_, err = b.Admit(t.Context(), replication.DR, west)
	require.NoError(t, err)
	got, err := b.Key(t.Context(), replication.DR, "west")
	require.NoError(t, err)
	require.Equal(t, key, got)
	m.rows[b.paired(replication.DR, "west")] = key[:5]
	_, err = b.Admit(t.Context(), replication.DR, west)
	require.Error(t, err)
}
