// SPDX-License-Identifier: MPL-2.0

package command

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/host/internal/command/roleswitch"
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

// server answers as a cluster does.
func server(t *testing.T, dr *view.Mode) string {
	t.Helper()
	return serverOf(t, dr, &view.Mode{Role: view.Disabled})
}

func serverOf(t *testing.T, dr, performance *view.Mode) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"initialized": true, "cluster_name": "c", "leader_address": "http://" + r.Host,
			"data": map[string]any{"dr": dr, "performance": performance},
		})
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// Scripts decide by exit codes, and read the JSON form.
func TestExitCodesAndJSON(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "t")
	t.Setenv("VAULT_CACERT", "")
	primary := &view.Mode{Role: view.Primary, State: "running", SetID: "set", LastDRWAL: 7}
	secondary := &view.Mode{Role: view.Secondary, State: view.Streaming, SetID: "set", Consistent: true, LastRemoteWAL: 5}
	first := server(t, primary)
	second := server(t, secondary)
	secondary.Primaries = []view.Peer{{APIAddress: first, Connection: "connected", CanaryAge: "100"}}
	run := func(at string, args ...string) (int, map[string]any, string) {
		t.Setenv("VAULT_ADDR", at)
		var out, errs bytes.Buffer
		code := Run(append(args, "-format=json"), &out, &errs)
		var answer map[string]any
		if out.Len() > 0 {
			require.NoError(t, json.Unmarshal(out.Bytes(), &answer), out.String())
		}
		return code, answer, errs.String()
	}
	code, answer, _ := run(second, "status")
	require.Equal(t, exitOK, code, answer)
	require.Len(t, answer["clusters"], 2)
	require.Nil(t, answer["problems"])
	code, answer, _ = run(second, "plan")
	require.Equal(t, exitOK, code, answer)
	require.Equal(t, true, answer["safe"])
	require.EqualValues(t, 2, answer["lost_entries"])
	require.InDelta(t, 0.1, answer["lost_seconds"], 0)

	secondary.Consistent, secondary.State = false, "merkle-sync"
	code, answer, _ = run(second, "status")
	require.Equal(t, exitNotWell, code)
	require.NotEmpty(t, answer["problems"])
	code, answer, _ = run(second, "plan")
	require.Equal(t, exitNotWell, code)
	require.Equal(t, false, answer["safe"])
	require.NotEmpty(t, answer["reasons"])

	const nobody = "http://127.0.0.1:1"
	code, answer, _ = run(nobody, "status")
	require.Equal(t, exitError, code)
	require.NotEmpty(t, answer["problems"])
	code, _, _ = run(nobody, "plan")
	require.Equal(t, exitNotWell, code, "it cannot be judged")
	code, answer, errs := run(second, "plan", "-mode=both")
	require.Equal(t, exitError, code)
	require.Nil(t, answer)
	require.Contains(t, errs, "-mode is dr or performance")
}

// The primary that the secondary names gets the token only if its address is one that was given.
func TestPlanGivesTheTokenToNobodyElse(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "mine")
	t.Setenv("VAULT_CACERT", "")
	var mu sync.Mutex
	got := map[string]bool{}
	primary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.Header.Get("X-Vault-Token")] = true
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(primary.Close)
	second := server(t, &view.Mode{Role: view.Secondary, State: view.Streaming, Consistent: true,
		Primaries: []view.Peer{{APIAddress: primary.URL}}})
	plan := func(args ...string) bool {
		clear(got)
		var out bytes.Buffer
		Run(append([]string{"plan", "-to=" + second}, args...), &out, &out)
		mu.Lock()
		defer mu.Unlock()
		require.NotEmpty(t, got, out.String())
		return got["mine"]
	}
	t.Setenv("VAULT_ADDR", second)
	require.False(t, plan())
	require.True(t, plan("-from="+primary.URL))
	t.Setenv("VAULT_ADDR", primary.URL)
	require.True(t, plan())
}

// A failover ends with what is to be done with the old primary, word by word.
func TestFailoverLeadsToTheOldPrimary(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "t")
	t.Setenv("VAULT_CACERT", "")
	promoted := &view.Mode{Role: view.Primary, State: "running", SetID: "set"}
	to := serverOf(t, promoted, promoted)
	demoted := server(t, &view.Mode{Role: view.Secondary, SetID: "set"})
	for _, c := range []struct {
		mode, from string
		demote     bool
	}{
		{view.DR, "http://127.0.0.1:1", true}, {view.Performance, "http://127.0.0.1:1", true}, {view.DR, demoted, false},
	} {
		side, err := client(to, "")
		require.NoError(t, err)
		f := &roleswitch.Failover{Mode: c.mode, To: roleswitch.Side{Client: side}, Limit: time.Second}
		f.Primary, _ = primary(t.Context(), c.mode, c.from, &view.Cluster{})
		var out bytes.Buffer
		f.Report = reporter(&out, "table")
		require.NoError(t, f.Run(t.Context()))
		demote := "         vault write -address=" + c.from + " -f sys/replication/" + c.mode + "/primary/demote\n"
		rejoin := "         vault-replication replication switchover -mode=" + c.mode + " -from=" + c.from + " -to=" + to
		require.Equal(t, c.demote, strings.Contains(out.String(), demote), out.String())
		require.Contains(t, out.String(), "next     "+c.from+": ")
		require.Contains(t, out.String(), "it is refused with their number and mounts")
		require.True(t, strings.HasSuffix(out.String(), rejoin+"\n"+rejoin+" -rejoin-keep-own-writes\n"), out.String())

		out.Reset()
		f.Report = reporter(&out, "json")
		require.NoError(t, f.Run(t.Context()))
		var last roleswitch.Step
		for d := json.NewDecoder(&out); d.More(); {
			last = roleswitch.Step{}
			require.NoError(t, d.Decode(&last))
		}
		require.Equal(t, "next", last.Name)
		require.Equal(t, strings.TrimSpace(rejoin), last.Commands[len(last.Commands)-2])
	}
}

// A demoted cluster tells what it has of its own to an operation token, at the address that was given.
func TestPlanAsksAFormerPrimary(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("VAULT_CACERT", "")
	t.Setenv(envOperationToken, "dro.t")
	second := server(t, &view.Mode{Role: view.Secondary, State: view.Streaming, SetID: "set", Consistent: true,
		LastRemoteWAL: 5})
	t.Setenv("VAULT_ADDR", second)
	var mu sync.Mutex
	var asked []string
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data := map[string]any{"dr": view.Mode{Role: view.Secondary, SetID: "set", LastRemoteWAL: 9},
			"performance": view.Mode{Role: view.Disabled}}
		if strings.Contains(r.URL.Path, "/kept/") {
			var body map[string]string
			_ = json.NewDecoder(r.Body).Decode(&body)
			mu.Lock()
			asked = append(asked, r.URL.Path+" "+body["dr_operation_token"])
			mu.Unlock()
			data = map[string]any{"kept": []any{}, "not_kept": []view.Held{{Mode: view.DR, Exact: true, Values: 3,
				Places: []view.Place{{Place: "kv/", Values: 3}}}}}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"initialized": true, "data": data})
	}))
	t.Cleanup(first.Close)
	var out, errs bytes.Buffer
	require.Equal(t, exitOK, Run([]string{"plan", "-from=" + first.URL, "-format=json"}, &out, &errs), errs.String())
	var answer struct {
		Lost uint64                 `json:"lost_entries"`
		Own  []roleswitch.OwnWrites `json:"own_writes"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &answer))
	require.EqualValues(t, 4, answer.Lost)
	require.Equal(t, []view.Place{{Place: "kv/", Values: 3}}, answer.Own[0].Mounts)
	require.EqualValues(t, 3, *answer.Own[0].Values)
	require.Equal(t, []string{"/v1/sys/replication/dr/secondary/kept/list dro.t"}, asked)

	t.Setenv(envOperationToken, "")
	Run([]string{"plan", "-from=" + first.URL}, &out, &errs)
	require.Len(t, asked, 1, "without a token it is not asked")
}
