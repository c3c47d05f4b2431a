// SPDX-License-Identifier: MPL-2.0

package operationtoken

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"sync"

	"github.com/hashicorp/go-hclog"
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
	logger hclog.Logger

	mu      sync.Mutex
	attempt *attempt
}

type attempt struct {
	nonce       string
	otp         string
	pgpKey      string
	fingerprint string
	shares      shares
}

// NewCollector returns a Collector that stores what it makes through tokens.
func NewCollector(keys Keys, tokens *Verifier, logger hclog.Logger) *Collector {
	return &Collector{keys: keys, tokens: tokens, logger: logger}
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
		Progress:       c.attempt.shares.progress(),
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
	a := &attempt{otp: otp, pgpKey: pgpKey, shares: shares{required: required}}
	switch {
	case required < 1:
		return nil, "", replication.Errorf(replication.InvalidInput, "this cluster has no key shares to prove anything "+
			"with: use an orphan batch token prepared on the primary")
	case otp != "" && pgpKey != "":
		return nil, "", replication.Errorf(replication.InvalidInput, "otp and pgp_key exclude each other: give one of "+
			"them, or none")
	case otp != "" && len(otp) != tokenLength:
		return nil, "", replication.Errorf(replication.InvalidInput, "OTP string is wrong length: it needs %d characters",
			tokenLength)
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
		return nil, "", replication.Errorf(replication.InvalidInput, "the generation of a DR operation token is already in "+
			"progress: give key shares for it, or cancel it with -cancel")
	}
	c.attempt = a
	return c.status(required), newOTP, nil
}

// Cancel drops the attempt and wipes its shares. Also to be called when the node
// stops being the active node of a DR secondary. It reports whether there was one.
func (c *Collector) Cancel() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	had := c.attempt != nil
	c.drop()
	return had
}

func (c *Collector) drop() {
	if c.attempt == nil {
		return
	}
	c.attempt.shares.wipe()
	c.attempt = nil
}

// Provide adds a share and takes possession of it. It makes the token as soon as enough
// shares fit together. A share that does not fit is answered with Denied and ends nothing,
// so nobody can spoil the attempt of others with wrong shares.
func (c *Collector) Provide(ctx context.Context, share []byte, nonce string) (*Result, error) {
	kept := false
	defer func() {
		if !kept {
			clear(share)
		}
	}()
	_, required, err := c.keys.Threshold(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempt == nil {
		return nil, replication.Errorf(replication.InvalidInput, "no generation of a DR operation token is in progress: "+
			"start one with -init")
	}
	if subtle.ConstantTimeCompare([]byte(nonce), []byte(c.attempt.nonce)) != 1 {
		return nil, replication.Errorf(replication.InvalidInput, "incorrect nonce supplied: give the nonce that starting "+
			"this DR operation token generation returned")
	}
	if c.attempt.shares.required != required {
		// The primary was rekeyed meanwhile.
		c.drop()
		return nil, replication.Errorf(replication.Denied, "the number of key shares that are required has changed: the "+
			"attempt was dropped, start again with -init")
	}
	if c.attempt.shares.has(share) {
		return nil, replication.Errorf(replication.InvalidInput, "given key has already been provided during this "+
			"generation operation")
	}
	enough := len(c.attempt.shares.kept)+1 >= required
	kept = true
	if c.attempt.shares.add(share) {
		c.logger.Warn("too many key shares that do not fit together were given for the DR operation token: the oldest was " +
			"dropped")
	}
	if !enough {
		return &Result{Status: *c.status(required)}, nil
	}
	key := c.attempt.shares.find(ctx, c.keys.Verify)
	if key == nil {
		return nil, replication.Errorf(replication.Denied, "the key shares given so far do not make the key of this "+
			"cluster (a DR secondary has the primary's): at least one is wrong; the attempt goes on, give another share")
	}
	clear(key)
	result := &Result{Status: *c.status(required), Complete: true}
	result.Progress = required
	// Whatever comes of it, these shares and this password are not used again.
	defer c.drop()
	result.EncodedToken, err = c.finish(ctx)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// finish makes the token and stores its hash.
func (c *Collector) finish(ctx context.Context) (encoded string, err error) {
	random, err := base62.RandomWithReader(tokenRandom, rand.Reader)
	if err != nil {
		return "", err
	}
	token := tokenPrefix + random
	if c.attempt.pgpKey != "" {
		_, blobs, err := pgpkeys.EncryptShares([][]byte{[]byte(token)}, []string{c.attempt.pgpKey})
		if err != nil || len(blobs) != 1 {
			return "", replication.Errorf(replication.InvalidInput, "the DR operation token cannot be encrypted to pgp_key: "+
				"give a key that can encrypt")
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
