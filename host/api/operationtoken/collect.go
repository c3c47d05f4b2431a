// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"sync"

	"github.com/hashicorp/go-secure-stdlib/base62"
	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/helper/pgpkeys"
	"github.com/hashicorp/vault/sdk/helper/roottoken"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Keys knows the key shares that open this cluster: the unseal shares with a
// Shamir seal, the recovery shares with another.
type Keys interface {
	// Threshold returns how many shares there are and how many are required.
	Threshold(ctx context.Context) (shares, required int, err error)
	// Verify returns nil when the combined key is the right one. It must not
	// keep the slice.
	Verify(ctx context.Context, combined []byte) error
}

// Status is where the attempt stands.
type Status struct {
	Started        bool
	Nonce          string
	Progress       int
	Required       int
	PGPFingerprint string
}

// Result is what a share led to.
type Result struct {
	Status
	Complete bool
	// EncodedToken is the token, hidden by the one-time password or encrypted to
	// the PGP key, once complete.
	EncodedToken string
}

// Collector makes a DR operation token of key shares, one attempt at a time.
// Attempts live in the memory of the active node only.
type Collector struct {
	keys   Keys
	tokens *Verifier

	mu      sync.Mutex
	attempt *attempt
}

type attempt struct {
	nonce       string
	otp         string
	pgpKey      string
	fingerprint string
	shares      [][]byte
}

// NewCollector returns a Collector that stores what it makes through tokens.
func NewCollector(keys Keys, tokens *Verifier) *Collector {
	return &Collector{keys: keys, tokens: tokens}
}

// Status reports the attempt; Required is set without one too.
func (c *Collector) Status(ctx context.Context) (*Status, error) {
	_, required, err := c.keys.Threshold(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status(required), nil
}

func (c *Collector) status(required int) *Status {
	if c.attempt == nil {
		return &Status{Required: required}
	}
	return &Status{
		Started:        true,
		Nonce:          c.attempt.nonce,
		Progress:       len(c.attempt.shares),
		Required:       required,
		PGPFingerprint: c.attempt.fingerprint,
	}
}

// Begin starts an attempt. With neither a one-time password nor a PGP key it
// makes a password and returns it, this once. InvalidInput while another attempt
// is under way.
func (c *Collector) Begin(ctx context.Context, otp, pgpKey string) (status *Status, newOTP string, err error) {
	_, required, err := c.keys.Threshold(ctx)
	if err != nil {
		return nil, "", err
	}
	a := &attempt{otp: otp, pgpKey: pgpKey}
	switch {
	case required < 1:
		return nil, "", replication.Errorf(replication.InvalidInput, "this cluster has no key shares to prove anything with: use an orphan batch token prepared on the primary")
	case otp != "" && pgpKey != "":
		return nil, "", replication.Errorf(replication.InvalidInput, "otp and pgp_key exclude each other: give one of them, or none")
	case otp != "" && len(otp) != tokenLength:
		return nil, "", replication.Errorf(replication.InvalidInput, "OTP string is wrong length: it needs %d characters", tokenLength)
	case pgpKey != "":
		prints, err := pgpkeys.GetFingerprints([]string{pgpKey}, nil)
		if err != nil || len(prints) != 1 || prints[0] == "" {
			return nil, "", replication.Errorf(replication.InvalidInput, "pgp_key is not a base64-encoded public PGP key")
		}
		a.fingerprint = prints[0]
	case otp == "":
		if newOTP, err = base62.Random(tokenLength); err != nil {
			return nil, "", err
		}
		a.otp = newOTP
	}
	if a.nonce, err = uuid.GenerateUUID(); err != nil {
		return nil, "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempt != nil {
		return nil, "", replication.Errorf(replication.InvalidInput, "the generation of a DR operation token is already in progress: give key shares for it, or cancel it with -cancel")
	}
	c.attempt = a
	return c.status(required), newOTP, nil
}

// Cancel drops the attempt and wipes its shares. Also to be called when the node
// stops being the active node of a DR secondary. No error without an attempt.
func (c *Collector) Cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
}

func (c *Collector) drop() {
	if c.attempt == nil {
		return
	}
	for _, share := range c.attempt.shares {
		wipe(share)
	}
	c.attempt = nil
}

// Provide adds a share and takes possession of it. With the last one required
// it makes the token; shares that do not make the key end the attempt, so that
// guessing starts anew each time.
func (c *Collector) Provide(ctx context.Context, share []byte, nonce string) (*Result, error) {
	kept := false
	defer func() {
		if !kept {
			wipe(share)
		}
	}()
	_, required, err := c.keys.Threshold(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempt == nil {
		return nil, replication.Errorf(replication.InvalidInput, "no generation of a DR operation token is in progress: start one with -init")
	}
	if subtle.ConstantTimeCompare([]byte(nonce), []byte(c.attempt.nonce)) != 1 {
		return nil, replication.Errorf(replication.InvalidInput, "incorrect nonce supplied; nonce for this DR operation token generation is %q", c.attempt.nonce)
	}
	for _, existing := range c.attempt.shares {
		if subtle.ConstantTimeCompare(existing, share) == 1 {
			return nil, replication.Errorf(replication.InvalidInput, "given key has already been provided during this generation operation")
		}
	}
	c.attempt.shares = append(c.attempt.shares, share)
	kept = true
	if len(c.attempt.shares) < required {
		return &Result{Status: *c.status(required)}, nil
	}
	result := &Result{Status: *c.status(required), Complete: true}
	// Whatever comes of it, these shares and this password are not used again.
	defer c.drop()
	result.EncodedToken, err = c.finish(ctx)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// finish verifies the key, makes the token and stores its hash.
func (c *Collector) finish(ctx context.Context) (encoded string, err error) {
	key, err := combine(c.attempt.shares)
	if err == nil {
		defer wipe(key)
		err = c.keys.Verify(ctx, key)
	}
	if err != nil {
		return "", replication.Errorf(replication.Denied, "the key shares do not make the key of this cluster (a DR secondary has the primary's): the attempt was dropped, start again with -init")
	}
	random, err := base62.RandomWithReader(tokenRandom, rand.Reader)
	if err != nil {
		return "", err
	}
	token := tokenPrefix + random
	if c.attempt.pgpKey != "" {
		_, blobs, err := pgpkeys.EncryptShares([][]byte{[]byte(token)}, []string{c.attempt.pgpKey})
		if err != nil || len(blobs) != 1 {
			return "", replication.Errorf(replication.InvalidInput, "the DR operation token cannot be encrypted to pgp_key: give a key that can encrypt")
		}
		encoded = base64.StdEncoding.EncodeToString(blobs[0])
	} else if encoded, err = roottoken.EncodeToken(token, c.attempt.otp); err != nil {
		return "", err
	}
	if err := c.tokens.set(ctx, token); err != nil {
		return "", replication.Errorf(replication.StorageFailed, "the DR operation token cannot be stored: %w", err)
	}
	return encoded, nil
}
