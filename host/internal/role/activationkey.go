// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/host/activation"
	"github.com/vault-replication/vault-replication/host/internal/role/records"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// activationKey is the storage key of a private key; the next activation token of the mode may be encrypted to it. It
// is not among the records of the mode, because a cluster without a role may have it.
func activationKey(mode replication.Mode) string {
	return records.Prefix + "activation-key-" + string(mode)
}

// GeneratePublicKey makes a key for the next activation token of a mode.
func (c *Secondary) GeneratePublicKey(ctx context.Context, mode replication.Mode) (string, error) {
	if err := c.changes.beginChange(); err != nil {
		return "", err
	}
	defer c.changes.changing.Unlock()
	key, err := activation.NewKey()
	if err != nil {
		return "", err
	}
	raw, err := key.Bytes()
	if err != nil {
		return "", err
	}
	if err := c.core.PutEntry(ctx, activationKey(mode), raw); err != nil {
		return "", replication.Errorf(replication.StorageFailed, "the key for an activation could not be stored: %w", err)
	}
	c.logger.Info("made a key for an activation token; it takes the place of the one before", "mode", mode)
	return key.Public(), nil
}

// OpenActivation opens a token that was encrypted to the key that was made last.
func (c *Secondary) OpenActivation(ctx context.Context, mode replication.Mode, token string) (*activation.Payload,
	error) {
	raw, err := c.core.GetEntry(ctx, activationKey(mode))
	if err != nil {
		return nil, err
	}
	if raw == nil {
		return nil, replication.Errorf(replication.InvalidInput, "the activation token is encrypted to a public key, and "+
			"this "+
			"cluster has generated none for %s replication, or has used it: call generate-public-key, and ask the primary for "+
			"a "+
			"token with that key", mode)
	}
	key, err := activation.ParseKey(raw)
	if err != nil {
		return nil, replication.Errorf(replication.Internal, "the key for an activation cannot be read, generate another "+
			"one: %w",
			err)
	}
	return key.Open(token, mode, time.Now())
}

// forgetActivationKey is called when a change has succeeded. A change without an activation token has used no key. A
// key that stays can only open tokens that were made for it.
func (c *Secondary) forgetActivationKey(ctx context.Context, mode replication.Mode, used *activation.Payload) {
	if used == nil {
		return
	}
	if err := c.core.DeleteEntry(ctx, activationKey(mode)); err != nil {
		c.logger.Warn("the used key for an activation could not be deleted: generate another one", "error", err)
	}
}
