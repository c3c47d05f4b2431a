// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"time"

	"github.com/vault-replication/vault-replication/shared/replication"
)

const (
	// tellTimeout bounds how long a plugin may take to hear of a revocation: it holds
	// already.
	tellTimeout = 5 * time.Second
	// tellAgain is how long one that did not hear is left alone.
	tellAgain = 5 * time.Second
)

// RevokeSecondary cuts a secondary off for ever: by this host at once, and by the
// plugin as soon as it hears. It waits for no change of role.
func (c *Controller) RevokeSecondary(ctx context.Context, mode replication.Mode,
	req replication.RevokeSecondaryRequest) ([]string, error) {
	duty, err := c.active()
	if err != nil {
		return nil, err
	}
	if err := mustBe(c.Record(), mode, replication.Primary); err != nil {
		return nil, err
	}
	known, err := c.paired.Revoke(ctx, mode, req.ID)
	c.relations.forget(mode, req.ID)
	if known {
		c.port.Cut(mode, req.ID)
		c.logger.Info("revoked a secondary", "mode", mode, "id", req.ID)
	}
	if err != nil {
		return nil, err
	}
	if known {
		if err := c.tap.CloseSlot(ctx, mode, req.ID); err != nil {
			c.logger.Warn("the slot of a revoked secondary could not be closed", "id", req.ID, "error", err)
		}
	}
	telling, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	b, err := c.backend(telling, mode)
	if err == nil {
		err = c.tell(telling, mode, b, req.ID, known)
	}
	switch {
	case err == nil:
		return nil, nil
	case known:
		c.logger.Warn("the plugin has not heard of a revocation; it is told when it is up again",
			"mode", mode, "id", req.ID, "error", err)
		go c.keepTelling(duty, mode)
		return []string{"The secondary is cut off and refused. The replication plugin does not answer and hears of it when " +
			"it " +
			"does; until then it may still be shown in the status."}, nil
	default:
		return nil, err
	}
}
