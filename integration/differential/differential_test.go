// SPDX-License-Identifier: MPL-2.0

package differential

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// normalised is the part of a body that is compared.
func normalised(t *testing.T, s Step, v *values, body string) any {
	t.Helper()
	r := &response{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: []byte(body)}
	a, err := normaliser{v}.answer(s, r)
	require.NoError(t, err)
	return a.Body
}

// A random value of a server is the same after normalising, wherever it appears.
func TestRandomValuesAreNamed(t *testing.T) {
	t.Parallel()
	one, two := newValues(nil), newValues(nil)
	one.set("id", "0b0a7f1c-1111-2222-3333-444455556666")
	two.set("id", "9b0a7f1c-1111-2222-3333-444455556666")
	s := Step{Random: []string{"data.password"}, Remaining: []string{"data.ttl"}, Unordered: []string{"data.list"}}
	a := normalised(t, s, one, `{"data":{"id":"0b0a7f1c-1111-2222-3333-444455556666","other":"aaaaaaaa-1111-2222-3333-444455556666","password":"x","ttl":3599,
		"list":["b","a"],"keys":["aaaaaaaa-1111-2222-3333-444455556666","0b0a7f1c-1111-2222-3333-444455556666"],"time":"2026-01-02T03:04:05Z"}}`)
	b := normalised(t, s, two, `{"data":{"id":"9b0a7f1c-1111-2222-3333-444455556666","other":"bbbbbbbb-1111-2222-3333-444455556666","password":"y","ttl":3601,
		"list":["a","b"],"keys":["9b0a7f1c-1111-2222-3333-444455556666","bbbbbbbb-1111-2222-3333-444455556666"],"time":"2026-01-02T03:04:06.5Z"}}`)
	a.(map[string]any)["data"].(map[string]any)["ttl"] = b.(map[string]any)["data"].(map[string]any)["ttl"]
	require.Equal(t, b, a)
}

// A lease that took a second to be stored is as long as another one. A lease of another
// length is not, and neither is what is no lease.
func TestDurationOfLeases(t *testing.T) {
	t.Parallel()
	of := func(body string) any { return normalised(t, Step{}, newValues(nil), body) }
	require.Equal(t, of(`{"lease_id":"a","lease_duration":3600}`), of(`{"lease_id":"a","lease_duration":3599}`))
	require.NotEqual(t, of(`{"lease_id":"a","lease_duration":3600}`), of(`{"lease_id":"a","lease_duration":3500}`))
	require.NotEqual(t, of(`{"lease_id":"a","lease_duration":0}`), of(`{"lease_id":"a","lease_duration":1}`))
	require.NotEqual(t, of(`{"lease_id":"","lease_duration":3600}`), of(`{"lease_id":"","lease_duration":3599}`))
}

// What is not random is a divergence: type, presence, count, order, the digits of
// large numbers, and who refers to whom.
func TestDivergences(t *testing.T) {
	t.Parallel()
	v := newValues(map[string]string{"jane": "aaaaaaaa-1111-2222-3333-444455556666",
		"joe": "bbbbbbbb-1111-2222-3333-444455556666"})
	for name, pair := range map[string][2]string{
		"type":        {`{"a":"1"}`, `{"a":1}`},
		"presence":    {`{"a":null}`, `{}`},
		"null":        {`{"a":[]}`, `{"a":null}`},
		"count":       {`{"a":[1]}`, `{"a":[1,1]}`},
		"order":       {`{"a":["x","y"]}`, `{"a":["y","x"]}`},
		"digits":      {`{"a":9007199254740993}`, `{"a":9007199254740992}`},
		"number form": {`{"a":1.10}`, `{"a":1.1}`},
		"reference":   {`{"a":"aaaaaaaa-1111-2222-3333-444455556666"}`, `{"a":"bbbbbbbb-1111-2222-3333-444455556666"}`},
		"no time":     {`{"a":"2026-01-02T03:04:05Z"}`, `{"a":"0001-01-01T00:00:00Z"}`},
		"empty":       {`{"a":"hvs.aaaaaaaaaaaaaaaaaaaaaaaa"}`, `{"a":""}`},
		"token kind":  {`{"a":"hvs.aaaaaaaaaaaaaaaaaaaaaaaa"}`, `{"a":"hvb.aaaaaaaaaaaaaaaaaaaaaaaa"}`},
		"key version": {`{"a":"vault:v1:aaaaaaaaaaaa"}`, `{"a":"vault:v2:aaaaaaaaaaaa"}`},
	} {
		want := &Answer{Body: normalised(t, Step{}, v, pair[0])}
		got := &Answer{Body: normalised(t, Step{}, v, pair[1])}
		require.NotEmpty(t, compare(want, got), name)
		require.Empty(t, compare(want, want), name)
	}
	require.Len(t, compare(&Answer{Status: 200}, &Answer{Status: 204}), 1)
	require.Len(t, compare(&Answer{Headers: map[string]any{"X": "a"}}, &Answer{}), 1)
}

// A place that a step names and that is not there is an error.
func TestPlacesMustBeThere(t *testing.T) {
	t.Parallel()
	for _, s := range []Step{{Random: []string{"data.x"}}, {Remaining: []string{"data.x"}}, {Unordered: []string{"x.*"}}} {
		r := &response{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}},
			body: []byte(`{"data":{}}`)}
		_, err := normaliser{newValues(nil)}.answer(s, r)
		require.ErrorContains(t, err, "nothing at")
	}
}

// A difference holds for its target, section, step and place alone, and is
// reported when nothing needs it.
func TestKnownDifferences(t *testing.T) {
	t.Parallel()
	k := newKnown([]Difference{
		{Section: "s", Step: "GET sys/*", Place: "body.data.a*", Here: `"primary*"`, Targets: []string{Primary}, Reason: "r"},
		{Section: "s", Step: "*", Place: "status", Here: "400", Targets: []string{Secondary}, Reason: "r"},
	})
	found := Divergence{Place: "body.data.ab.c", Got: `"primary"`}
	require.False(t, k.accepts(Single, "s", "GET sys/x/y", found))
	require.False(t, k.accepts(Primary, "other", "GET sys/x/y", found))
	require.False(t, k.accepts(Primary, "s", "GET kv/x", found))
	require.False(t, k.accepts(Primary, "s", "GET sys/x", Divergence{Place: "body.data.b", Got: `"primary"`}))
	require.False(t, k.accepts(Primary, "s", "GET sys/x/y", Divergence{Place: "body.data.ab.c", Got: `"secondary"`}),
		"another answer")
	require.False(t, k.accepts(Secondary, "s", "GET sys/x", Divergence{Place: "status", Got: "500"}), "another answer")
	require.Len(t, k.unused(map[string]bool{Primary: true}), 1, "those of the targets that ran")
	require.True(t, k.accepts(Primary, "s", "GET sys/x/y", found))
	require.Empty(t, k.unused(map[string]bool{Primary: true}))
}

func TestLike(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*", "", true}, {"*", "a/b", true}, {"a*", "a", true}, {"a*", "ba", false},
		{"*b", "a/b", true}, {"*b", "a/bc", false},
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"a*a", "a", false}, {"a*b*c", "a1b2c", true}, {"a*b*c", "acb", false},
		{"a*b*b", "ab", false}, {"GET sys?help=1", "GET sys?help=1", true},
		{"[a]", "a", false}, {"", "", true}, {"", "a", false},
	} {
		require.Equal(t, tc.want, like(tc.pattern, tc.text), "%q %q", tc.pattern, tc.text)
	}
}

// A write that one target loses is seen in what is read after it, and only
// there; a request that the reference refuses unexpectedly is reported too.
func TestRunSeesALostWrite(t *testing.T) {
	t.Parallel()
	var lose atomic.Bool
	reference := httptest.NewServer(store(nil))
	t.Cleanup(reference.Close)
	other := httptest.NewServer(store(&lose))
	t.Cleanup(other.Close)
	f, err := NewFixtures()
	require.NoError(t, err)
	r := NewRunner(f, Target{Name: Stock, Address: reference.URL}, Target{Name: Single, Address: other.URL})
	t.Cleanup(r.Close)
	section := Section{"s", []Step{write("a", Body{"x": "one"}), read("a")}}
	require.Empty(t, r.Run(t.Context(), section))
	lose.Store(true)
	section.Steps[0].Body = Body{"x": "two"}
	report := r.Run(t.Context(), section)
	require.Len(t, report[Single], 1)
	require.Contains(t, report[Single][0], "GET a")
	require.Contains(t, report[Single][0], `"two"`)
	require.Empty(t, report[Stock])

	section.Steps = []Step{read("a").fails(http.StatusNotFound), read("${unknown}"),
		read("a").save("x", "no.such.place").named("save")}
	require.Len(t, r.Run(t.Context(), section)[Stock], 3)
}

// store keeps one object, or loses what is written.
func store(lose *atomic.Bool) http.Handler {
	var kept atomic.Value
	kept.Store(map[string]any{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && (lose == nil || !lose.Load()) {
			body := map[string]any{}
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			kept.Store(body)
		}
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet {
			_ = json.NewEncoder(w).Encode(kept.Load()) // the client reads all
		}
	})
}

// What a server does in the background may take its time, but not by errors of the
// server.
func TestRepeatedStepsSeeErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status   int
		problems int
	}{{http.StatusBadRequest, 0}, {http.StatusInternalServerError, 1}, {http.StatusServiceUnavailable, 1}} {
		var asked atomic.Int32
		slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if asked.Add(1) == 1 {
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(`{"errors":["not yet"]}`)) // the client reads all
				return
			}
			_, _ = w.Write([]byte(`{"state":"done"}`)) // the client reads all
		}))
		t.Cleanup(slow.Close)
		reference := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"state":"done"}`)) // the client reads all
		}))
		t.Cleanup(reference.Close)
		f, err := NewFixtures()
		require.NoError(t, err)
		r := NewRunner(f, Target{Name: Stock, Address: reference.URL}, Target{Name: Single, Address: slow.URL})
		t.Cleanup(r.Close)
		report := r.Run(t.Context(), Section{"s", []Step{read("job").until("state", "done")}})
		require.Len(t, report[Single], tc.problems, "%d: %v", tc.status, report)
	}
}

// Steps to be sent last are sent when asked for, with what the section has saved.
func TestLastSteps(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(store(nil))
	t.Cleanup(server.Close)
	f, err := NewFixtures()
	require.NoError(t, err)
	r := NewRunner(f, Target{Name: Stock, Address: server.URL})
	t.Cleanup(r.Close)
	section := Section{"s", []Step{
		write("a", Body{"x": "first"}), write("a", Body{"x": "${x}"}).last(),
		read("a").save("y", "x").named("at the end").last(), read("a").save("x", "x"),
	}}
	require.Empty(t, r.Run(t.Context(), section))
	require.Equal(t, "first", r.values["s"][0].byName["x"])
	require.NotContains(t, r.values["s"][0].byName, "y")
	require.Empty(t, r.Finish(t.Context(), section))
	require.Equal(t, "first", r.values["s"][0].byName["y"])
}

// The names of a section's steps are what the table of differences goes by, and
// a place to save or a name to use may be misspelt without a server too.
func TestSectionsAreWellFormed(t *testing.T) {
	t.Parallel()
	steps, names := 0, map[string]bool{}
	for _, section := range Sections() {
		require.False(t, names[section.Name], section.Name)
		names[section.Name] = true
		for _, s := range section.Steps {
			steps++
			require.NotEmpty(t, s.Method, s.Name)
			require.False(t, strings.HasPrefix(s.Path, "/"), s.Path)
			require.False(t, s.Repeat != nil && s.Status >= http.StatusInternalServerError, "%s: an error of the server is "+
				"not waited for", s.Name)
		}
	}
	t.Logf("%d steps", steps)
	require.Greater(t, steps, 1000)
	for _, d := range Differences() {
		require.True(t, d.Section == "*" || names[d.Section], "%s", d)
		require.NotEmpty(t, d.Reason)
		require.NotEmpty(t, d.Targets)
	}
}
