// SPDX-License-Identifier: MPL-2.0

package former

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/internal/api/endpoints"
	"github.com/vault-replication/vault-replication/host/storage/keyclass"
	"github.com/vault-replication/vault-replication/host/vaultname"
	"github.com/vault-replication/vault-replication/shared/replication"
)

// area is a part of the storage whose values an operator would miss.
type area struct {
	prefix string
	// place is where an operator finds them. It is empty for views of mounts.
	place string
	// ends says that values are deleted there by themselves, because a token or a lease has ended.
	ends bool
}

const tokens = "sys/token/"

// areas are all areas. Everywhere else a primary writes only because it is alive: keys, locks, counters, its own
// records.
var areas = []area{
	{prefix: vaultname.EngineViews},
	{prefix: vaultname.AuthViews},
	{prefix: vaultname.Mounts, place: "sys/mounts/"},
	{prefix: vaultname.LocalMounts, place: "sys/mounts/"},
	{prefix: vaultname.Auth, place: "sys/auth/"},
	{prefix: vaultname.LocalAuth, place: "sys/auth/"},
	{prefix: vaultname.Audit, place: "sys/audit/"},
	{prefix: vaultname.LocalAudit, place: "sys/audit/"},
	{prefix: vaultname.PluginCatalog, place: "sys/plugins/catalog/"},
	{prefix: vaultname.ReplicationFilters, place: "sys/replication/performance/primary/paths-filter/"},
	{prefix: vaultname.Policies, place: "sys/policies/acl/"},
	{prefix: "sys/password_policy/", place: "sys/policies/password/"},
	{prefix: vaultname.Quotas, place: "sys/quotas/"},
	{prefix: "sys/mfa/", place: "identity/mfa/"},
	{prefix: vaultname.LoginMFA, place: "identity/mfa/"},
	{prefix: "sys/config/", place: "sys/config/"},
	{prefix: "sys/ui", place: "sys/config/ui/"},
	{prefix: vaultname.AuditedHeaders, place: "sys/config/auditing/"},
	{prefix: tokens + "roles/", place: "auth/token/roles/"},
	{prefix: tokens, place: "auth/token/", ends: true},
	{prefix: vaultname.Leases, place: "sys/leases/", ends: true},
}

func areaOf(key string) *area {
	for i := range areas {
		if strings.HasPrefix(key, areas[i].prefix) {
			return &areas[i]
		}
	}
	return nil
}

// Concerns says whether an operator would miss a write.
func Concerns(key string, deleted bool) bool {
	a := areaOf(key)
	return a != nil && !(deleted && a.ends)
}

// Place is where an operator finds a key: the path of its mount, or a part of sys/.
func Place(mounts *keyclass.Mounts, key string) string {
	a := areaOf(key)
	switch {
	case a == nil:
		return "sys/"
	case a.place != "":
		return a.place
	}
	if view, ok := mounts.View(key); ok {
		return view.Path
	}
	return "a mount that is gone"
}

// Sorted are counts of values by place, the most first.
func Sorted(by map[string]int) []endpoints.KeptPlace {
	all := make([]endpoints.KeptPlace, 0, len(by))
	for place, n := range by {
		all = append(all, endpoints.KeptPlace{Place: place, Values: n})
	}
	slices.SortFunc(all, func(a, b endpoints.KeptPlace) int {
		return cmp.Or(cmp.Compare(b.Values, a.Values), cmp.Compare(a.Place, b.Place))
	})
	return all
}

// placesMax is how many places are named in a sentence.
const placesMax = 12

// Refusal is the answer to an operator who lets this cluster follow a primary without keep_own_writes.
func (o *Own) Refusal(mounts *keyclass.Mounts) error {
	if where := o.where(mounts); where != "" {
		return o.refusal(", in " + where)
	}
	return o.Summary()
}

// Summary is the refusal without paths of mounts, for a status that anybody may read.
func (o *Own) Summary() error { return o.refusal("") }

// Places are where an operator finds the writes, with their numbers.
func (o *Own) Places(mounts *keyclass.Mounts) []endpoints.KeptPlace {
	by := map[string]int{}
	for _, w := range o.Writes {
		by[Place(mounts, string(w.Key))]++
	}
	return Sorted(by)
}

// where names the places of the writes with their numbers.
func (o *Own) where(mounts *keyclass.Mounts) string {
	counts := o.Places(mounts)
	var names []string
	for _, c := range counts[:min(len(counts), placesMax)] {
		names = append(names, fmt.Sprintf("%s (%d)", c.Place, c.Values))
	}
	if more := len(counts) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

func (o *Own) refusal(where string) error {
	number, kept := fmt.Sprintf("%d values that the new primary does not have", len(o.Writes)), "them"
	if len(o.Writes) == 1 {
		number, kept = "1 value that the new primary does not have", "it"
	}
	what := "has written " + number + where
	switch {
	case o.Exact:
	case len(o.Writes) == 0:
		what, kept = "may have written values that the new primary does not have, because "+o.Why, "all that it has"
	default:
		what = "has written at least " + number + where + "; how many more is not known, because " + o.Why
		kept = "all that it has"
	}
	return replication.Errorf(replication.InvalidInput, "this cluster was a primary and %s: nothing was "+
		"changed; give keep_own_writes=true to have it keep %s in an encrypted file before it follows the new primary", what,
		kept)
}
