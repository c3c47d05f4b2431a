// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/roottoken"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/shamir"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const promotePath = "sys/replication/dr/secondary/promote"

// promote is the use of a token that most tests have.
var promote = Use(promotePath, nil, nil)

// memoryStore is a Store that can be made to fail.
type memoryStore struct {
	mu   sync.Mutex
	data []byte
	err  error
}

func (s *memoryStore) Get(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data, s.err
}

func (s *memoryStore) Put(_ context.Context, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.data = append([]byte(nil), data...)
	}
	return s.err
}

func (s *memoryStore) Delete(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.data = nil
	}
	return s.err
}

// fakeKeys splits a key.
type fakeKeys struct {
	key      []byte
	shares   [][]byte
	required int
}

func newFakeKeys(t *testing.T, shares, required int) *fakeKeys {
	k := &fakeKeys{key: make([]byte, 32), required: required}
	_, err := rand.Read(k.key)
	require.NoError(t, err)
	if shares == 1 {
		k.shares = [][]byte{k.key}
		return k
	}
	k.shares, err = shamir.Split(k.key, shares, required)
	require.NoError(t, err)
	return k
}

func (k *fakeKeys) Threshold(context.Context) (int, int, error) {
	return len(k.shares), k.required, nil
}

func (k *fakeKeys) Verify(_ context.Context, combined []byte) error {
	if !bytes.Equal(combined, k.key) {
		return errors.New("wrong key")
	}
	return nil
}

// share copies one, since Provide takes possession.
func (k *fakeKeys) share(i int) []byte { return append([]byte(nil), k.shares[i]...) }

// fakeBatch allows one token on one path.
type fakeBatch struct{}

func (fakeBatch) Allowed(_ context.Context, token string, use *logical.Request) error {
	if token == "hvb.good" && use.Path == promotePath {
		return nil
	}
	if token == "hvb.later" {
		return replication.Errorf(replication.Unavailable, "not active")
	}
	return errors.New("permission denied")
}

// generate makes a token.
func generate(t *testing.T, c *Collector, k *fakeKeys) string {
	ctx := context.Background()
	status, otp, err := c.Begin(ctx, "", "")
	require.NoError(t, err)
	var result *Result
	for i := range k.required {
		result, err = c.Provide(ctx, k.share(i), status.Nonce)
		require.NoError(t, err)
	}
	require.True(t, result.Complete)
	token, err := roottoken.DecodeToken(result.EncodedToken, otp, len(otp))
	require.NoError(t, err)
	return token
}
