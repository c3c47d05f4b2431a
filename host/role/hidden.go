// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"slices"
	"strings"
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

// ClearHidden deletes what a performance secondary has stored of the mounts that its
// filter hides: it may have been killed before it had done so. What a copy has yet
// to bring is not hidden by the filter any more and stays.
func (c *Controller) ClearHidden(ctx context.Context) error {
	h := c.hiding.Load()
	if h == nil {
		return nil
	}
	hidden, _, err := c.hiddenBy(ctx, h.filter)
	if err != nil {
		return err
	}
	for uuid, path := range hidden {
		kind := "logical/"
		if strings.HasPrefix(path, "auth/") {
			kind = "auth/"
		}
		deleted, err := c.tap.ClearView(ctx, kind+uuid+"/")
		if err != nil {
			return err
		}
		if deleted > 0 {
			c.logger.Info("deleted what was stored of a mount that the paths filter hides", "path", path, "keys", deleted)
		}
	}
	return nil
}
