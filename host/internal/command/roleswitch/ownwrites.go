// SPDX-License-Identifier: MPL-2.0

package roleswitch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

// OwnWrites are what a cluster has written as a primary, and another primary does not have or may not have.
type OwnWrites struct {
	// Cluster is empty if its address is not known.
	Cluster string `json:"cluster,omitempty"`
	// Values is how many are known. It is absent if nothing is known of them.
	Values *uint64 `json:"values,omitempty"`
	// Mounts has the mounts and the parts of sys/ that the values belong to, as far as that is known.
	Mounts []view.Place `json:"mounts,omitempty"`
	// Kept are the ids of what the cluster keeps already.
	Kept []string `json:"kept,omitempty"`
	// Text says what becomes of them.
	Text []string `json:"text"`
}

// KeepFlag makes a former primary keep its own writes.
const KeepFlag = "-rejoin-keep-own-writes"

// fate is what becomes of own writes.
const fate = "when it is to follow another primary it is refused with their number and mounts, and nothing is " +
	"changed; with keep_own_writes=true (" + KeepFlag + " of switchover) it keeps them"

// ofOldPrimary is for the primary of a secondary that is promoted without it. What did not arrive is its own then.
func (p *Plan) ofOldPrimary() {
	if p.Entries != nil && *p.Entries == 0 {
		return
	}
	own := OwnWrites{Cluster: p.Primary, Values: p.Entries}
	if p.Behind != nil {
		for _, m := range p.Behind.Mounts {
			own.Mounts = append(own.Mounts, view.Place{Place: m.Path, Values: int(m.Changes)})
		}
	}
	own.Text = []string{fmt.Sprintf("What has not arrived is %s's own after a promotion: %s.",
		cmp.Or(p.Primary, "the old primary"), fate)}
	p.OwnWrites = append(p.OwnWrites, own)
}

// Holds adds what a cluster says that it has of its own as a former primary, nil if it says nothing.
func (p *Plan) Holds(c *view.Cluster, h *view.Holdings) {
	if h == nil {
		return
	}
	own := OwnWrites{Cluster: c.Address}
	at := slices.IndexFunc(p.OwnWrites, func(o OwnWrites) bool { return o.Cluster == c.Address })
	if at >= 0 {
		own = p.OwnWrites[at]
	}
	arrived := c.Address == p.Primary && p.Entries != nil && *p.Entries == 0
	for _, n := range h.NotKept {
		if n.Mode != p.Mode || arrived {
			continue
		}
		values := uint64(max(n.Values, 0))
		own.Values, own.Mounts = &values, n.Places
		number := fmt.Sprintf("%d values", n.Values)
		if !n.Exact {
			number = "at least " + number
		}
		own.Text = []string{fmt.Sprintf("%s was a primary and has %s that another primary may not have%s: %s.", c.Address,
			number, where(n.Places), fate)}
	}
	for _, k := range h.Kept {
		own.Kept = append(own.Kept, k.ID)
		own.Text = append(own.Text, fmt.Sprintf("%s keeps %d values of its own%s: see them with vault-replication "+
			"replication kept read -id=%s.", c.Address, k.Values, where(k.Places), k.ID))
	}
	switch {
	case at >= 0:
		p.OwnWrites[at] = own
	case len(own.Text) > 0:
		p.OwnWrites = append(p.OwnWrites, own)
	}
}

// where names places with their numbers.
func where(places []view.Place) string {
	if len(places) == 0 {
		return ""
	}
	names := make([]string, len(places))
	for i, p := range places {
		names[i] = fmt.Sprintf("%s (%d)", p.Place, p.Values)
	}
	return ", in " + strings.Join(names, ", ")
}

// next leads to what is to be done with the old primary when it comes back.
func (f *Failover) next() Step {
	old, to := "ADDRESS", f.To.Client.Address()
	step := Step{Name: "next", Cluster: "the old primary"}
	serves := true
	if f.Primary != nil {
		old, step.Cluster = f.Primary.Address, f.Primary.Address
		serves = f.Primary.Of(f.Mode).Role != view.Secondary
	}
	if serves {
		step.Text = "when it comes back it is the primary that it was: keep clients away from it, and demote it at once. "
		step.Commands = []string{fmt.Sprintf("vault write -address=%s -f sys/replication/%s/primary/demote", old, f.Mode)}
	}
	rejoin := fmt.Sprintf("vault-replication replication switchover -mode=%s -from=%s -to=%s", f.Mode, old, to)
	step.Text += "Let it follow. If it has writes of its own it is refused with their number and mounts, and nothing is " +
		"changed. They are kept only with " + KeepFlag + ", as in the last command. Add -rejoin-ca-file if the API of the " +
		"new primary has a CA of its own"
	step.Commands = append(step.Commands, rejoin, rejoin+" "+KeepFlag)
	return step
}
