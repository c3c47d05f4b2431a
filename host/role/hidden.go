// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// lacking names the shared mounts whose content a performance secondary does not
// have: hidden by its filter, or awaited from a copy. Empty if it has all.
func (c *Controller) lacking(ctx context.Context) (string, error) {
	h := c.hiding.Load()
	if h == nil {
		return "", nil
	}
	hidden, visible, err := c.hiddenBy(ctx, h.filter)
	if err != nil {
		return "", err
	}
	return namesOfLacking(hidden, visible, h.awaited), nil
}

func namesOfLacking(hidden, visible map[string]string, awaited map[string]bool) string {
	var names []string
	for _, path := range hidden {
		names = append(names, path)
	}
	for uuid := range awaited {
		if path, ok := visible[uuid]; ok {
			names = append(names, path)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Filtered says whether the own filter of a performance secondary hides the mount
// with this view, as the tables are now.
func (c *Controller) Filtered(ctx context.Context, prefix string) bool {
	views, err := c.filteredViews(ctx)
	_, ok := views[prefix]
	return err == nil && ok
}

// filteredViews are the views that the own filter hides, with the mounts' paths.
func (c *Controller) filteredViews(ctx context.Context) (map[string]string, error) {
	h := c.hiding.Load()
	if h == nil {
		return nil, nil
	}
	hidden, _, err := c.hiddenBy(ctx, h.filter)
	views := make(map[string]string, len(hidden))
	for uuid, path := range hidden {
		views[vaultname.ViewOf(path, uuid)] = path
	}
	return views, err
}

// ClearView deletes what this cluster has of a mount that is gone or that its filter
// hides. A mount that is only unmounted for a while, to change places with another
// or because a local one is in its way, keeps its content.
func (c *Controller) ClearView(ctx context.Context, prefix string) error {
	if !c.tap.Classes().Orphan(prefix+"key") && !c.Filtered(ctx, prefix) {
		return nil
	}
	_, err := c.tap.ClearView(ctx, prefix)
	return err
}

// ClearHidden deletes what a performance secondary has stored of the mounts that its
// filter hides: it may have been killed before it had done so. What a copy has yet
// to bring is not hidden by the filter any more and stays.
func (c *Controller) ClearHidden(ctx context.Context) error {
	views, err := c.filteredViews(ctx)
	if err != nil {
		return err
	}
	for prefix, path := range views {
		deleted, err := c.tap.ClearView(ctx, prefix)
		if err != nil {
			return err
		}
		if deleted > 0 {
			c.logger.Info("deleted what was stored of a mount that the paths filter hides", "path", path, "keys", deleted)
		}
	}
	return nil
}
