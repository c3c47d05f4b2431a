// SPDX-License-Identifier: MPL-2.0

package filters

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Lacking names the shared mounts whose content a performance secondary lacks, because its filter hides them or a copy
// has still to bring them. It is empty if there are none.
func (h *Hiding) Lacking(ctx context.Context) (string, error) {
	s := h.now.Load()
	if s == nil {
		return "", nil
	}
	hidden, visible, err := h.filters.hiddenBy(ctx, s.filter)
	if err != nil {
		return "", err
	}
	return namesOfLacking(hidden, visible, s.awaited), nil
}

func namesOfLacking(hidden, visible map[string]string, awaited map[string]bool) string {
	names := slices.Collect(maps.Values(hidden))
	for uuid := range awaited {
		if path, ok := visible[uuid]; ok {
			names = append(names, path)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// filtered says whether, by the present tables, a performance secondary's own filter hides the mount with this view.
func (h *Hiding) filtered(ctx context.Context, prefix string) bool {
	views, err := h.filteredViews(ctx)
	_, ok := views[prefix]
	return err == nil && ok
}

// filteredViews are the views that the own filter hides, with the mounts' paths.
func (h *Hiding) filteredViews(ctx context.Context) (map[string]string, error) {
	s := h.now.Load()
	if s == nil {
		return nil, nil
	}
	hidden, _, err := h.filters.hiddenBy(ctx, s.filter)
	views := make(map[string]string, len(hidden))
	for uuid, path := range hidden {
		views[vaultname.ViewOf(path, uuid)] = path
	}
	return views, err
}

// ClearView deletes this cluster's keys of a mount that is gone or that its filter hides. A mount that is only
// unmounted for a while, to swap paths with another or because a local mount is in its way, keeps its keys. So does a
// mount that only a possibly outdated table lacks, until all tables are of one position.
func (h *Hiding) ClearView(ctx context.Context, prefix string) error {
	if !h.filtered(ctx, prefix) {
		if !h.tap.Classes().Orphan(prefix + "key") {
			return nil
		}
		c, err := h.tap.Secondary(h.filters.mode).Cursor(ctx)
		if err != nil {
			return err
		}
		if !c.AtOnePosition() {
			return replication.Errorf(replication.Unavailable,
				"this secondary is about to catch up with its primary, and deletes nothing of a mount before")
		}
	}
	_, err := h.tap.ClearView(ctx, prefix)
	return err
}

// ClearHidden deletes a performance secondary's keys of the mounts that its filter hides: it may have been killed
// before it did so. Mounts that a copy has still to bring are no longer hidden by the filter, so they stay.
func (h *Hiding) ClearHidden(ctx context.Context) error {
	views, err := h.filteredViews(ctx)
	if err != nil {
		return err
	}
	for prefix, path := range views {
		deleted, err := h.tap.ClearView(ctx, prefix)
		if err != nil {
			return err
		}
		if deleted > 0 {
			h.logger.Info("deleted what was stored of a mount that the paths filter hides", "path", path, "keys", deleted)
		}
	}
	return nil
}
