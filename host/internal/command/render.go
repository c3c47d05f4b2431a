// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"

	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

// barWidth is how many columns the bar of a first copy has.
const barWidth = 20

func writeJSON(out io.Writer, what any) int {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(what); err != nil {
		return exitError
	}
	return exitOK
}

var titles = map[string]string{view.DR: "Disaster recovery", view.Performance: "Performance"}

// render is a table for each mode that is in use, and below it what is not well.
func render(clusters []*view.Cluster, now time.Time) string {
	var b strings.Builder
	for _, mode := range []string{view.DR, view.Performance} {
		if rows := rowsOf(mode, clusters, now); len(rows) > 0 {
			fmt.Fprintf(&b, "%s\n%s\n", lipgloss.NewStyle().Bold(true).Render(titles[mode]), grid(rows))
		}
	}
	if b.Len() == 0 && slices.ContainsFunc(clusters, func(c *view.Cluster) bool { return c.Error == "" && !c.Sealed }) {
		b.WriteString("Replication is not enabled.\n")
	}
	for _, p := range problems(clusters) {
		fmt.Fprintf(&b, "! %s\n", p)
	}
	return b.String()
}

func grid(rows [][]string) string {
	cell := lipgloss.NewStyle().PaddingRight(2)
	return table.New().Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).
		BorderRight(false).BorderColumn(false).BorderHeader(false).
		Headers("cluster", "role", "state", "position", "behind", "session").Rows(rows...).
		StyleFunc(func(int, int) lipgloss.Style { return cell }).String()
}

func rowsOf(mode string, clusters []*view.Cluster, now time.Time) [][]string {
	var rows [][]string
	for _, c := range clusters {
		m := c.Of(mode)
		switch m.Role {
		case "", view.Disabled:
		case view.Primary:
			rows = append(rows, []string{c.Address, m.Role, m.State, strconv.FormatUint(m.LastWAL(), 10), "", ""})
			rows = append(rows, unseen(m, clusters, now)...)
		default:
			rows = append(rows, []string{c.Address, m.Role, state(m), strconv.FormatUint(m.LastRemoteWAL, 10),
				lag(m, primaryOf(m, mode, clusters)), session(m.Primaries, now)})
		}
	}
	return rows
}

// unseen are the secondaries that only the primary speaks of.
func unseen(primary *view.Mode, clusters []*view.Cluster, now time.Time) [][]string {
	var rows [][]string
	for _, p := range primary.Secondaries {
		if cluster := find(clusters, p.APIAddress); cluster == nil || cluster.Error != "" {
			rows = append(rows, []string{p.NodeID + " " + p.APIAddress, "secondary", "?", "?", "?",
				session([]view.Peer{p}, now)})
		}
	}
	return rows
}

func find(clusters []*view.Cluster, address string) *view.Cluster {
	for _, c := range clusters {
		if address != "" && (c.Address == address || c.Active == address) {
			return c
		}
	}
	return nil
}

// primaryOf is the primary that a secondary follows, if it can be asked.
func primaryOf(m *view.Mode, mode string, clusters []*view.Cluster) *view.Cluster {
	for _, c := range clusters {
		if theirs := c.Of(mode); theirs.Role == view.Primary && theirs.SetID == m.SetID {
			return c
		}
	}
	return nil
}

// state is a bar while a copy is under way.
func state(m *view.Mode) string {
	if m.FirstCopy == nil || m.FirstCopy.Total == 0 {
		return m.State
	}
	done := int(barWidth * min(float64(m.FirstCopy.Done)/float64(m.FirstCopy.Total), 1))
	bar := strings.Repeat("#", done) + strings.Repeat(".", barWidth-done)
	return fmt.Sprintf("%s %s %d of %d", m.State, bar, m.FirstCopy.Done, m.FirstCopy.Total)
}

// lag is how far a secondary is behind: in entries if its primary can be asked, in seconds
// by its own account.
func lag(m *view.Mode, primary *view.Cluster) string {
	var parts []string
	if primary != nil {
		last := primary.DR.LastWAL()
		if m.SetID == primary.Performance.SetID {
			last = primary.Performance.LastWAL()
		}
		parts = append(parts, fmt.Sprintf("%d entries", last-min(last, m.LastRemoteWAL)))
	}
	for _, p := range m.Primaries {
		if millis, err := strconv.ParseInt(p.CanaryAge, 10, 64); err == nil && p.Connected() {
			parts = append(parts, fmt.Sprintf("%.1f s", time.Duration(millis*int64(time.Millisecond)).Seconds()))
			break
		}
	}
	return strings.Join(parts, ", ")
}

// session says whether there is one, and when its other end was heard last.
func session(peers []view.Peer, now time.Time) string {
	if len(peers) == 0 {
		return "none"
	}
	heard := "never heard"
	if at, err := time.Parse(time.RFC3339, peers[0].LastHeartbeat); err == nil {
		heard = "heard " + max(now.Sub(at), 0).Round(time.Second).String() + " ago"
	}
	return peers[0].Connection + ", " + heard
}

// problems are sentences about what is not well. None is said twice.
func problems(clusters []*view.Cluster) []string {
	var out []string
	for _, c := range clusters {
		switch {
		case c.Error != "":
			out = append(out, fmt.Sprintf("%s cannot be asked: %s", c.Address, c.Error))
		case c.Sealed:
			out = append(out, fmt.Sprintf("%s is sealed", c.Address))
		}
		for _, mode := range []string{view.DR, view.Performance} {
			out = append(out, problemsOf(c, mode)...)
		}
	}
	return append(out, contested(clusters)...)
}

func problemsOf(c *view.Cluster, mode string) []string {
	var out []string
	say := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("%s (%s): ", c.Address, mode)+fmt.Sprintf(format, args...))
	}
	m := c.Of(mode)
	if m.Role == view.Secondary && m.State != view.Streaming || m.Role == view.Primary && m.State != "running" {
		say("it is %s. %s", m.State, m.LastError)
	}
	if m.Role == view.Secondary && !m.Consistent {
		say("what it has is no one state of the primary, so it cannot be promoted without force")
	}
	if m.MissingKeys > 0 {
		say("it lacks %d keys that its storage refused", m.MissingKeys)
	}
	for _, l := range m.Lacks {
		say("%s", l)
	}
	for _, p := range m.Secondaries {
		if !p.Connected() {
			say("its secondary %q is not connected", p.NodeID)
		}
	}
	for _, s := range m.Slots {
		if s.State != "active" {
			say("the slot of %q is %q. %s", s.ID, s.State, s.Reason)
		}
	}
	return out
}

// contested finds sets with more than one primary.
func contested(clusters []*view.Cluster) []string {
	var out []string
	for _, mode := range []string{view.DR, view.Performance} {
		first := map[string]string{}
		for _, c := range clusters {
			m := c.Of(mode)
			if m.Role != view.Primary {
				continue
			}
			if other := first[m.SetID]; other != "" {
				out = append(out, fmt.Sprintf("%s and %s are both primary (%s): what they write is never merged", other, c.Address,
					mode))
			} else if m.Contested {
				out = append(out, fmt.Sprintf("%s (%s) is primary by force: another cluster may be primary too", c.Address, mode))
			}
			first[m.SetID] = c.Address
		}
	}
	return out
}
