// SPDX-License-Identifier: MPL-2.0

package roleswitch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

// Plan is what a promotion of a secondary at this moment would mean.
type Plan struct {
	Mode string `json:"mode"`
	// Secondary is the cluster that would be promoted, Primary the one that it follows.
	Secondary string `json:"secondary"`
	Primary   string `json:"primary,omitempty"`
	// PrimaryAlive says that the primary answers and is one. Then a failover would make two.
	PrimaryAlive bool `json:"primary_alive"`
	// Safe says that nothing is lost by the promotion, except rows that the primary has not sent yet: see Entries.
	Safe bool `json:"safe"`
	// Entries are the writes of the primary that the secondary does not have. Sequences jump
	// at a restart of the primary, so it is an upper bound. It is absent when the primary
	// cannot be asked.
	Entries *uint64 `json:"lost_entries,omitempty"`
	// Seconds is how long ago the primary was where the secondary is. It is absent when the
	// secondary has not heard of a primary since it was started.
	Seconds *float64 `json:"lost_seconds,omitempty"`
	// Behind names the mounts of these entries. It is absent when the primary cannot be asked, or does not tell it
	// to this token.
	Behind *view.Behind `json:"lost_of,omitempty"`
	// Lacks says what this secondary cannot serve of its primary's content, with the mounts.
	Lacks []string `json:"lacks,omitempty"`
	// OwnWrites say what of a former primary is refused or kept.
	OwnWrites []OwnWrites `json:"own_writes,omitempty"`
	// Reasons say why it is not safe, one sentence each.
	Reasons []string `json:"reasons,omitempty"`
}

// MakePlan judges the promotion of a secondary from what it and its primary say. The primary
// is nil if it is not known or cannot be asked.
func MakePlan(mode string, secondary, primary *view.Cluster, now time.Time) *Plan {
	p := &Plan{Mode: mode, Secondary: secondary.Address}
	own := secondary.Of(mode)
	switch {
	case secondary.Error != "":
		p.unsafe("%s cannot be asked: %s", secondary.Address, secondary.Error)
		return p
	case secondary.Sealed:
		p.unsafe("%s is sealed: unseal it with the key shares of the primary", secondary.Address)
		return p
	case own.Role != view.Secondary:
		p.unsafe("%s is no %s secondary: its mode is %q", secondary.Address, mode, own.Role)
		return p
	}
	p.own(own, now)
	if primary != nil {
		p.beside(primary, own)
	}
	p.ofOldPrimary()
	p.Safe = len(p.Reasons) == 0
	return p
}

func (p *Plan) unsafe(format string, args ...any) {
	p.Reasons = append(p.Reasons, fmt.Sprintf(format, args...))
}

// own judges what the secondary says of itself.
func (p *Plan) own(own *view.Mode, now time.Time) {
	p.Lacks = own.Lacks
	if !own.Consistent {
		p.unsafe("%s is in the middle of a copy or of a catch-up (%s): what it has is no one state of the primary",
			p.Secondary,
			own.State)
	}
	if own.MissingKeys > 0 {
		p.unsafe("%s lacks %d keys that its storage refused: its status says why", p.Secondary, own.MissingKeys)
	}
	if len(own.Lacks) > 0 {
		p.unsafe("%s cannot serve all that the primary serves: see what it lacks", p.Secondary)
	}
	for i := range own.Primaries {
		peer := &own.Primaries[i]
		if age, ok := behind(peer, now); ok && (p.Seconds == nil || age < *p.Seconds) {
			p.Seconds, p.Primary = &age, peer.APIAddress
		}
	}
}

// behind is how long ago the peer was where this cluster is, in seconds.
func behind(peer *view.Peer, now time.Time) (seconds float64, known bool) {
	if millis, err := strconv.ParseInt(peer.CanaryAge, 10, 64); err == nil && millis > 0 {
		return time.Duration(millis * int64(time.Millisecond)).Seconds(), true
	}
	heard, err := time.Parse(time.RFC3339, peer.LastHeartbeat)
	if err != nil {
		return 0, false
	}
	return max(now.Sub(heard).Seconds(), 0), true
}

// beside judges what the primary says.
func (p *Plan) beside(primary *view.Cluster, own *view.Mode) {
	p.Primary = primary.Address
	theirs := primary.Of(p.Mode)
	if primary.Error != "" || primary.Sealed || theirs.Role != view.Primary {
		if gaveUp(theirs) && theirs.SetID == own.SetID {
			p.lost(theirs.LastRemoteWAL, own)
		}
		return
	}
	p.PrimaryAlive = true
	if theirs.SetID != own.SetID {
		p.unsafe("%s is the primary of another replication set than that of %s", primary.Address, p.Secondary)
		return
	}
	p.lost(theirs.LastWAL(), own)
	for _, s := range theirs.Slots {
		if s.ID == own.SecondaryID {
			p.Behind = s.Behind
		}
	}
	if theirs.Contested {
		p.unsafe("%s has the role of primary by force: another cluster may have it too", primary.Address)
	}
}

// gaveUp says whether a cluster was the primary, and follows nobody since. It stands at its last write.
func gaveUp(m *view.Mode) bool {
	return m.Role == view.Secondary && len(m.Primaries) == 0 && m.LastRemoteWAL > 0
}

// lost counts what a secondary does not have of a primary that has written up to a sequence.
func (p *Plan) lost(last uint64, own *view.Mode) {
	lost := last - min(own.LastRemoteWAL, last)
	p.Entries = &lost
}

// mounts is a sentence with the mounts that lose entries.
func (p *Plan) mounts() string {
	switch b := p.Behind; {
	case b == nil && !p.PrimaryAlive:
		return "Of which mounts that is only the primary knows, and it cannot be asked."
	case b == nil:
		return "Of which mounts that is the primary tells to a token that may read sys/mounts and the status of " +
			"replication: give VAULT_TOKEN, and its address with -from or VAULT_ADDR."
	default:
		var parts []string
		for _, m := range b.Mounts {
			parts = append(parts, fmt.Sprintf("%s (%d)", m.Path, m.Changes))
		}
		if b.Others > 0 {
			parts = append(parts, fmt.Sprintf("the server itself, such as mounts and policies (%d)", b.Others))
		}
		if !b.Complete {
			parts = append(parts, "and older ones, which the primary has in its memory no longer")
		}
		if len(parts) == 0 {
			return "All that is lost has reached the secondary and is not acknowledged yet, or is not for it."
		}
		return "Changes are lost of: " + strings.Join(parts, ", ") + "."
	}
}

// String is the plan as an operator reads it.
func (p *Plan) String() string {
	var b strings.Builder
	verdict := "safe"
	switch {
	case !p.Safe:
		verdict = "NOT SAFE"
	case p.Entries == nil || *p.Entries > 0:
		verdict = "safe but for what has not arrived"
	}
	fmt.Fprintf(&b, "A promotion of %s now is %s: %s.\n", p.Secondary, verdict, p.loss())
	if p.Entries == nil || *p.Entries > 0 {
		fmt.Fprintf(&b, "%s\n", p.mounts())
	}
	if p.PrimaryAlive {
		fmt.Fprintf(&b, "The primary %s is alive: a switchover loses nothing.\n", p.Primary)
	}
	for _, r := range slices.Concat(p.Reasons, p.Lacks) {
		fmt.Fprintf(&b, "! %s\n", r)
	}
	for _, o := range p.OwnWrites {
		for _, text := range o.Text {
			fmt.Fprintf(&b, "%s\n", text)
		}
	}
	return b.String()
}
