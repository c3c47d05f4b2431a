// SPDX-License-Identifier: MPL-2.0

package role

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/internal/role/filters"
	"github.com/vault-replication/vault-replication/host/internal/vaultcore"
	"github.com/vault-replication/vault-replication/host/storage"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// Loss is something that this cluster would lack as the primary of its set.
type Loss struct {
	// What is missing, without a full stop: "the content of secret/ is hidden by its paths filter".
	What string
	// Instead is what an operator can do about it: "delete its paths filter".
	Instead string
}

// losses knows what this cluster would lose as the primary of its set.
type losses struct {
	core    *vaultcore.Core
	tap     *storage.Tap
	roles   *roles
	hiding  *filters.Hiding
	serving Serving
}

// all are the losses of a promotion in a mode now. Without force a promotion is refused if there are any.
func (l losses) all(ctx context.Context, mode replication.Mode) (all []Loss, err error) {
	for _, find := range []func(context.Context, replication.Mode) ([]Loss, error){
		l.hiddenLosses, l.lackLosses, l.pluginLosses, l.missingLosses,
	} {
		some, err := find(ctx, mode)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// refuseLosses is the answer to a promotion without force.
func refuseLosses(all []Loss) error {
	if len(all) == 0 {
		return nil
	}
	return replication.Errorf(replication.Unavailable, "this secondary would lack something as the primary: %s. Mend "+
		"that first (%s), promote a secondary that has it, or use force",
		joined(all, func(l Loss) string { return l.What }, "; "), joined(all, func(l Loss) string { return l.Instead }, "; "))
}

// warnOfLosses are the warnings of a promotion with force.
func warnOfLosses(all []Loss) []string {
	if len(all) == 0 {
		return nil
	}
	return []string{"This cluster is promoted although it lacks something: " +
		joined(all, func(l Loss) string { return l.What }, "; ") + "."}
}

// joined joins one part of each loss, without repetitions.
func joined(all []Loss, part func(Loss) string, sep string) string {
	var parts []string
	said := map[string]bool{}
	for _, l := range all {
		if text := part(l); text != "" && !said[text] {
			said[text] = true
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, sep)
}

// hiddenLosses are mounts whose content a secondary with a filter never had.
func (l losses) hiddenLosses(ctx context.Context, mode replication.Mode) ([]Loss, error) {
	if !mode.Filtered() {
		return nil, nil
	}
	names, err := l.hiding.Lacking(ctx)
	if err != nil || names == "" {
		return nil, err
	}
	return []Loss{{
		What: "it does not have the content of " + names + ", and every cluster that follows it would lose what it has " +
			"of them",
		Instead: "delete its paths filter and wait for state stream-wals",
	}}, nil
}

// lackLosses are what a secondary that serves clients lacks, as it says itself.
func (l losses) lackLosses(_ context.Context, mode replication.Mode) (all []Loss, err error) {
	if !mode.ServesClients() || !l.roles.Serves() {
		return nil, nil
	}
	for _, text := range l.serving.Lacks() {
		all = append(all, Loss{What: text, Instead: "see the status field lacks"})
	}
	return all, nil
}

// pluginLosses are mounts that would not answer after the promotion of a secondary with inert engines.
func (l losses) pluginLosses(ctx context.Context, mode replication.Mode) (all []Loss, err error) {
	if mode.ServesClients() {
		return nil, nil
	}
	for _, key := range slices.Sorted(maps.Keys(keyclass.Tables)) {
		if keyclass.Tables[key] == vaultname.AuditViews {
			continue // an audit device that cannot be opened does not prevent a promotion
		}
		table, err := l.core.StoredTable(ctx, key)
		if err != nil {
			return nil, err
		}
		if table == nil {
			continue
		}
		for _, e := range table.Entries {
			if why := l.core.Unavailable(ctx, key, e); why != "" {
				all = append(all, Loss{
					What:    fmt.Sprintf("mount %s would answer nothing: %s", vaultname.RequestPath(key, e.Path), why),
					Instead: "install the plugin in the plugin_directory of every node",
				})
			}
		}
	}
	return all, nil
}

// missing says what a secondary lacks because its storage refuses it, empty for nothing. It has no names of keys,
// because anybody may read the status.
func (l losses) missing(ctx context.Context, mode replication.Mode) (keys uint64, text string, err error) {
	keys, what, err := l.tap.Secondary(mode).Missing(ctx)
	if err != nil || keys == 0 {
		return 0, "", err
	}
	return keys, fmt.Sprintf("%d keys of the primary are missing here, because the storage of this cluster refuses "+
		"them: %s; "+
		"the log of the active node has their names, and they are fetched when the storage takes them", keys, what), nil
}

// missingLosses are keys that a secondary lacks because its storage refuses them.
func (l losses) missingLosses(ctx context.Context, mode replication.Mode) ([]Loss, error) {
	keys, text, err := l.missing(ctx, mode)
	if err != nil || keys == 0 {
		return nil, err
	}
	return []Loss{{What: text, Instead: "raise the limit that is named on this cluster, or delete these keys on the " +
		"primary"}}, nil
}
