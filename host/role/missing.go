// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"fmt"

	"github.com/vault-replication/vault-replication/host/handover"
	"github.com/vault-replication/vault-replication/host/storage/unstorable"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// missing says what a secondary lacks because its storage refuses it, empty for
// nothing. Anybody may read a status, so it has no names of keys.
func (c *Controller) missing(ctx context.Context, mode replication.Mode) (keys uint64, text string, err error) {
	keys, what, err := c.tap.Secondary(mode).Missing(ctx)
	if err != nil || keys == 0 {
		return 0, "", err
	}
	return keys, fmt.Sprintf("%d keys of the primary are missing here, because the storage of this cluster refuses them: %s; "+
		"the log of the active node has their names, and they are fetched when the storage takes them", keys, what), nil
}

// missingLosses are keys that a secondary lacks because its storage refuses them.
func (c *Controller) missingLosses(ctx context.Context, mode replication.Mode) ([]Loss, error) {
	keys, text, err := c.missing(ctx, mode)
	if err != nil || keys == 0 {
		return nil, err
	}
	return []Loss{{What: text, Instead: "raise the limit that is named on this cluster, or delete these keys on the primary"}}, nil
}

// narrower says what will be missing on this cluster because its storage takes less than
// that of its primary.
func (c *Controller) narrower(mode replication.Mode, m *handover.Material) []string {
	if m.Storage == nil {
		return nil
	}
	said := unstorable.Narrower(*m.Storage, c.core.StorageLimits())
	for _, text := range said {
		c.logger.Warn("the storage of this cluster takes less than that of its primary", "mode", mode, "what", text)
	}
	return said
}

// also adds what is missing, empty for nothing, to what there is to say.
func also(said, missing string) string {
	if said != "" && missing != "" {
		said += "; "
	}
	return said + missing
}
