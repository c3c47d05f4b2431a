// SPDX-License-Identifier: MPL-2.0

package roleswitch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func pair() (secondary, primary *view.Cluster) {
	return &view.Cluster{Address: "https://b", Active: "https://b", Name: "b", DR: view.Mode{
			Role: view.Secondary, State: view.Streaming, SetID: "set", Consistent: true, LastRemoteWAL: 90, MerkleRoot: "r",
			Primaries: []view.Peer{{APIAddress: "https://a", Connection: "connected", CanaryAge: "250",
				LastHeartbeat: "2026-01-02T03:04:00Z"}},
		}}, &view.Cluster{Address: "https://a", Active: "https://a", Name: "a", DR: view.Mode{
			Role: view.Primary, State: "running", SetID: "set", LastDRWAL: 100, MerkleRoot: "r",
		}}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(secondary, primary *view.Cluster)
		unsafe string
	}{
		"well":             {func(_, _ *view.Cluster) {}, ""},
		"the primary died": {func(_, p *view.Cluster) { *p = view.Cluster{Address: p.Address, Error: "refused"} }, ""},
		"cannot be asked":  {func(s, _ *view.Cluster) { s.Error = "refused" }, "cannot be asked: refused"},
		"sealed":           {func(s, _ *view.Cluster) { s.Sealed = true }, "unseal it"},
		"a primary":        {func(s, _ *view.Cluster) { s.DR.Role = view.Primary }, "no dr secondary"},
		"in a copy": {func(s, _ *view.Cluster) { s.DR.Consistent, s.DR.State = false, "merkle-sync" },
			"(merkle-sync)"},
		"keys are missing": {func(s, _ *view.Cluster) { s.DR.MissingKeys = 3 }, "lacks 3 keys"},
		"no plugin": {func(s, _ *view.Cluster) { s.DR.Lacks = []string{"the plugin of mount db/"} },
			"cannot serve all"},
		"another set": {func(_, p *view.Cluster) { p.DR.SetID = "other" }, "another replication set"},
		"contested":   {func(_, p *view.Cluster) { p.DR.Contested = true }, "by force"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secondary, primary := pair()
			c.change(secondary, primary)
			p := MakePlan(view.DR, secondary, primary, now)
			if c.unsafe == "" {
				require.True(t, p.Safe, p.Reasons)
				return
			}
			require.False(t, p.Safe)
			require.Len(t, p.Reasons, 1)
			require.Contains(t, p.Reasons[0], c.unsafe)
			require.Contains(t, p.String(), "NOT SAFE")
		})
	}
}

func TestPlanSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	secondary, primary := pair()
	p := MakePlan(view.DR, secondary, primary, now)
	require.Equal(t, uint64(10), *p.Entries)
	require.InDelta(t, 0.25, *p.Seconds, 0)
	require.Contains(t, p.String(), "at most 10 entries are lost")

	require.Contains(t, p.String(), "tells to a token")
	secondary.DR.SecondaryID = "b"
	primary.DR.Slots = []view.Slot{{ID: "a", Behind: &view.Behind{}}, {ID: "b", Behind: &view.Behind{Complete: true,
		Mounts: []view.Changed{{Path: "auth/x/", Changes: 2}, {Path: "kv/", Changes: 7}}}}}
	require.Contains(t, MakePlan(view.DR, secondary, primary, now).String(),
		"Changes are lost of: auth/x/ (2), kv/ (7).\n")
	primary.DR.Slots[1].Behind.Complete, primary.DR.Slots[1].Behind.Others = false, 1
	require.Contains(t, MakePlan(view.DR, secondary, primary, now).String(), "kv/ (7), the server itself, such as "+
		"mounts and policies (1), and older ones")
	primary.DR.Slots[1].Behind = &view.Behind{Complete: true}
	require.Contains(t, MakePlan(view.DR, secondary, primary, now).String(), "All that is lost has reached")

	secondary.DR.LastRemoteWAL = 110 // the secondary was asked later
	p = MakePlan(view.DR, secondary, primary, now)
	require.Zero(t, *p.Entries)
	require.NotContains(t, p.String(), "lost of")

	secondary.DR.Primaries[0].CanaryAge = "0"
	p = MakePlan(view.DR, secondary, nil, now)
	require.Nil(t, p.Entries)
	require.InDelta(t, 5, *p.Seconds, 0)
	require.Contains(t, p.String(), "5.0 s ago")
	require.Contains(t, p.String(), "only the primary knows")

	secondary.DR.Primaries[0].LastHeartbeat = ""
	require.Contains(t, MakePlan(view.DR, secondary, nil, now).String(), "is not known")
}

// What a former primary has of its own is refused or kept when it is to follow, and the plan says so.
func TestPlanSaysWhatBecomesOfOwnWrites(t *testing.T) {
	t.Parallel()
	secondary, primary := pair()
	p := MakePlan(view.DR, secondary, primary, now)
	require.Contains(t, p.String(), "What has not arrived is https://a's own after a promotion: when it is to follow "+
		"another primary it is refused with their number and mounts, and nothing is changed; with keep_own_writes=true "+
		"(-rejoin-keep-own-writes of switchover) it keeps them.\n")
	require.Equal(t, uint64(10), *p.OwnWrites[0].Values)
	p = MakePlan(view.DR, secondary, nil, now)
	require.Len(t, p.OwnWrites, 1)
	require.Nil(t, p.OwnWrites[0].Values)

	// It was demoted: its positions say how much, and what it tells of itself says where.
	primary.DR = view.Mode{Role: view.Secondary, SetID: "set", LastRemoteWAL: 93}
	own := &view.Holdings{NotKept: []view.Held{
		{Mode: view.DR, Exact: true, Values: 2, Places: []view.Place{{Place: "kv/", Values: 2}}},
		{Mode: view.Performance, Exact: true, Values: 9},
	}}
	p = MakePlan(view.DR, secondary, primary, now)
	require.True(t, p.Safe)
	require.False(t, p.PrimaryAlive)
	require.Equal(t, uint64(3), *p.Entries)
	p.Holds(primary, own)
	require.Len(t, p.OwnWrites, 1)
	require.Equal(t, uint64(2), *p.OwnWrites[0].Values)
	require.Contains(t, p.String(), "https://a was a primary and has 2 values that another primary may not have, in "+
		"kv/ (2): when it is to follow another primary it is refused")
	own.NotKept[0].Exact = false
	p.Holds(primary, own)
	require.Contains(t, p.String(), "has at least 2 values that")

	// The secondary has everything, however long the list of the former primary is.
	secondary.DR.LastRemoteWAL = 93
	p = MakePlan(view.DR, secondary, primary, now)
	p.Holds(primary, own)
	require.Empty(t, p.OwnWrites)
	require.NotContains(t, p.String(), "refused")

	// The secondary was promoted, and the former primary comes back.
	secondary.DR = view.Mode{Role: view.Primary, SetID: "set"}
	p = MakePlan(view.DR, secondary, primary, now)
	p.Holds(primary, own)
	require.Contains(t, p.String(), "https://a was a primary and has")
	p.Holds(secondary, &view.Holdings{Kept: []view.Held{{ID: "dr-1", Values: 6}}})
	require.Equal(t, []string{"dr-1"}, p.OwnWrites[1].Kept)
	require.Contains(t, p.String(), "https://b keeps 6 values of its own: see them with vault-replication replication "+
		"kept read -id=dr-1.\n")
	p.Holds(secondary, nil)
}

// Which step comes next follows from what the clusters say. Pairs that no switch leads to are refused.
func TestStage(t *testing.T) {
	t.Parallel()
	free := func(c *view.Cluster) { c.DR.Role, c.DR.Primaries = view.Secondary, nil }
	promote := func(c *view.Cluster) { c.DR.Role, c.DR.Primaries = view.Primary, nil }
	for name, c := range map[string]struct {
		change func(from, to *view.Cluster)
		want   stage
		err    string
	}{
		"begun":    {func(_, _ *view.Cluster) {}, begun, ""},
		"demoted":  {func(f, _ *view.Cluster) { free(f) }, demoted, ""},
		"promoted": {func(f, to *view.Cluster) { free(f); promote(to) }, promoted, ""},
		"following": {func(f, to *view.Cluster) {
			promote(to)
			f.DR.Role, f.DR.Primaries = view.Secondary, []view.Peer{{APIAddress: to.Active, Connection: "connected"}}
		}, following, ""},
		"still connected to its former primary": {func(f, to *view.Cluster) {
			promote(to)
			f.DR.Role, f.DR.Primaries = view.Secondary, []view.Peer{{APIAddress: "https://c", Connection: "connected"}}
		}, promoted, ""},
		"two primaries": {func(_, to *view.Cluster) { promote(to) }, 0, "both primary"},
		"two secondaries of a third": {func(f, _ *view.Cluster) {
			f.DR.Role, f.DR.Primaries = view.Secondary, []view.Peer{{APIAddress: "https://c", Connection: "connected"}}
		}, 0, "follows https://c"},
		"the wrong way round": {func(f, to *view.Cluster) { *f, *to = *to, *f }, following, ""},
		"another set":         {func(f, _ *view.Cluster) { f.DR.SetID = "other" }, 0, "not of one dr replication set"},
		"sealed":              {func(f, _ *view.Cluster) { f.Sealed = true }, 0, "is sealed"},
		"dead":                {func(_, to *view.Cluster) { to.Error = "refused" }, 0, "cannot be asked"},
		"no replication": {func(f, to *view.Cluster) {
			f.DR, to.DR = view.Mode{Role: view.Disabled, SetID: "set"}, view.Mode{Role: view.Disabled, SetID: "set"}
		}, 0, "between a primary and its secondary"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to, from := pair()
			c.change(from, to)
			at, err := (&Switchover{Mode: view.DR}).stage(from, to)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, at)
		})
	}
}

func TestFreeID(t *testing.T) {
	t.Parallel()
	require.Equal(t, "asked", freeID("asked", "a", []string{"asked"}))
	require.Equal(t, "a", freeID("", "a", nil))
	require.Equal(t, "a-3", freeID("", "a", []string{"a", "a-2"}))
	require.Equal(t, "former-primary", freeID("", "", nil))
}
