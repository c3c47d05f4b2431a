// SPDX-License-Identifier: MPL-2.0

package command

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/command/view"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func sample() []*view.Cluster {
	return []*view.Cluster{
		{Address: "https://a:8200", Active: "https://a:8200", DR: view.Mode{Role: view.Primary, State: "running",
			SetID: "set", LastDRWAL: 100,
			Secondaries: []view.Peer{
				{NodeID: "b", APIAddress: "https://b:8200", Connection: "connected", LastHeartbeat: "2026-01-02T03:04:04Z"},
				{NodeID: "c", APIAddress: "https://c:8200", Connection: "disconnected"},
			},
			Slots: []view.Slot{{ID: "c", State: "lost", Reason: "it retained too much"}},
		}},
		{Address: "https://b:8200", Active: "https://b:8200", DR: view.Mode{Role: view.Secondary, State: "merkle-sync",
			SetID:         "set",
			LastRemoteWAL: 40, FirstCopy: &view.Copied{Done: 50, Total: 100},
			Primaries: []view.Peer{{APIAddress: "https://a:8200", Connection: "connected", LastHeartbeat: "2026-01-02T03:04:03Z",
				CanaryAge: "1500"}},
		}},
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	text := render(sample(), now)
	for _, want := range []string{
		"Disaster recovery", "https://a:8200", "running", "100",
		"merkle-sync ##########.......... 50 of 100", "60 entries, 1.5 s", "connected, heard 2s ago",
		"c https://c:8200", "disconnected, never heard",
		"! https://a:8200 (dr): its secondary \"c\" is not connected",
		"! https://a:8200 (dr): the slot of \"c\" is \"lost\". it retained too much",
		"! https://b:8200 (dr): it is merkle-sync",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "Performance")
	require.Equal(t, "Replication is not enabled.\n", render([]*view.Cluster{{Address: "https://a:8200"}}, now))
	require.Equal(t, "! https://a:8200 cannot be asked: refused\n",
		render([]*view.Cluster{{Address: "https://a:8200", Error: "refused"}}, now))
}

func TestTwoPrimariesAreAProblem(t *testing.T) {
	t.Parallel()
	clusters := sample()
	clusters[1].DR = view.Mode{Role: view.Primary, State: "running", SetID: "set"}
	require.Contains(t, problems(clusters), "https://a:8200 and https://b:8200 are both primary (dr): what they write "+
		"is never merged")
	clusters[1].DR.SetID = "another set"
	require.NotContains(t, render(clusters, now), "both primary")
	clusters[1].DR.Contested = true
	require.Contains(t, render(clusters, now), "primary by force")
}

// Wrong arguments are one sentence and exit code 1.
func TestArguments(t *testing.T) {
	for _, args := range [][]string{
		{"status", "x"}, {"status", "-format=xml"}, {"plan", "-mode=both"}, {"switchover"}, {"failover", "-mode=performance"},
		{"nothing"},
	} {
		var out, errs bytes.Buffer
		t.Setenv("VAULT_TOKEN", "t")
		code := Run(args, &out, &errs)
		require.NotZero(t, code, args)
		require.NotEmpty(t, errs.String(), args)
	}
	t.Setenv(envOperationToken, "")
	var out, errs bytes.Buffer
	require.Equal(t, exitError, Run([]string{"failover", "-to=https://b:8200"}, &out, &errs))
	require.Contains(t, errs.String(), "VAULT_DR_OPERATION_TOKEN is not set")
}
