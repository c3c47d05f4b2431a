// SPDX-License-Identifier: MPL-2.0

package mounttable

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/jsonutil"
	"github.com/stretchr/testify/require"
)

// entry is a mount as it is stored: more is JSON that goes into it.
func entry(t *testing.T, uuid, path string, more ...string) Entry {
	t.Helper()
	text := fmt.Sprintf(`{"uuid":%q,"path":%q,"type":"kv"`, uuid, path)
	for _, m := range more {
		text += "," + m
	}
	e, err := decodeEntry(json.RawMessage(text + "}"))
	require.NoError(t, err)
	return e
}

var names = map[Op]string{Taint: "taint", Untaint: "untaint", Remove: "remove", Move: "move", Tune: "tune",
	Rebuild: "rebuild", Add: "add", Refuse: "refuse"}

func describe(steps []Step) string {
	var out []string
	for _, s := range steps {
		e := s.New
		if s.Op == Remove {
			e = s.Old
		}
		text := names[s.Op] + " " + e.UUID
		if s.Op == Move {
			text += ">" + e.Path
		}
		if s.Op == Refuse {
			text += " for " + s.Blocker.Path
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func TestDiff(t *testing.T) {
	t.Parallel()
	e := func(uuid, path string, more ...string) Entry { return entry(t, uuid, path, more...) }
	const tainted, local = `"tainted":true`, `"local":true`
	tests := map[string]struct {
		running, stored []Entry
		hidden          func(Entry) bool
		built           map[string]string
		want            string
	}{
		"nothing":        {[]Entry{e("1", "a/")}, []Entry{e("1", "a/")}, nil, nil, ""},
		"new":            {nil, []Entry{e("1", "a/")}, nil, nil, "add 1"},
		"gone":           {[]Entry{e("1", "a/")}, nil, nil, nil, "remove 1"},
		"local stays":    {[]Entry{e("1", "a/", local)}, nil, nil, nil, ""},
		"replaced":       {[]Entry{e("1", "a/")}, []Entry{e("2", "a/")}, nil, nil, "remove 1, add 2"},
		"moved":          {[]Entry{e("1", "a/")}, []Entry{e("1", "b/")}, nil, nil, "move 1>b/"},
		"tainted":        {[]Entry{e("1", "a/")}, []Entry{e("1", "a/", tainted)}, nil, nil, "taint 1"},
		"still tainted":  {[]Entry{e("1", "a/", tainted)}, []Entry{e("1", "a/", tainted)}, nil, nil, ""},
		"untainted":      {[]Entry{e("1", "a/", tainted)}, []Entry{e("1", "a/")}, nil, nil, "untaint 1"},
		"taint and move": {[]Entry{e("1", "a/", tainted)}, []Entry{e("1", "b/")}, nil, nil, "move 1>b/"},
		"chain": {
			[]Entry{e("1", "a/"), e("2", "b/")}, []Entry{e("1", "b/"), e("2", "c/")}, nil, nil,
			"move 2>c/, move 1>b/",
		},
		"circle": {
			[]Entry{e("1", "a/"), e("2", "b/")}, []Entry{e("1", "b/"), e("2", "a/")}, nil, nil,
			"remove 1, move 2>a/, add 1",
		},
		"into the place of a removed one": {
			[]Entry{e("1", "a/"), e("2", "b/")}, []Entry{e("2", "a/")}, nil, nil, "remove 1, move 2>a/",
		},
		"tuned":     {[]Entry{e("1", "a/")}, []Entry{e("1", "a/", `"config":{"max_lease_ttl":5}`)}, nil, nil, "tune 1"},
		"described": {[]Entry{e("1", "a/")}, []Entry{e("1", "a/", `"description":"x"`)}, nil, nil, "tune 1"},
		"empty is absent": {
			[]Entry{e("1", "a/", `"config":{"max_lease_ttl":0,"allowed":[]},"options":null,"sealwrap":false`)},
			[]Entry{e("1", "a/", `"options":{}`)}, nil, nil, "",
		},
		"options": {
			[]Entry{e("1", "a/")}, []Entry{e("1", "a/", `"options":{"version":"2"}`)}, nil, nil, "tune 1, rebuild 1",
		},
		"version": {
			[]Entry{e("1", "a/")}, []Entry{e("1", "a/", `"plugin_version":"v2"`)}, nil, nil, "tune 1, rebuild 1",
		},
		"runs another build, not known from before": {
			[]Entry{e("1", "a/", `"running_sha256":"x"`)}, []Entry{e("1", "a/", `"running_sha256":"y"`)}, nil, nil, "",
		},
		"reloaded on the primary": {
			[]Entry{e("1", "a/")}, []Entry{e("1", "a/", `"running_sha256":"y"`)}, nil,
			BuiltOf([]Entry{e("1", "a/", `"running_sha256":"x"`)}), "rebuild 1",
		},
		"built in, of another version": {
			[]Entry{e("1", "a/")}, []Entry{e("1", "a/", `"running_plugin_version":"v1.21.2+builtin.vault"`)}, nil,
			BuiltOf([]Entry{e("1", "a/", `"running_plugin_version":"v1.21.1+builtin.vault"`)}), "",
		},
		"a local mount is in the place": {
			[]Entry{e("1", "a/b/", local)}, []Entry{e("2", "a/")}, nil, nil, "refuse 2 for a/b/",
		},
		"moved into the place of a local mount": {
			[]Entry{e("1", "a/", local), e("2", "b/")}, []Entry{e("2", "a/")}, nil, nil, "remove 2, refuse 2 for a/",
		},
		"hidden":       {nil, []Entry{e("1", "a/")}, func(Entry) bool { return true }, nil, ""},
		"hidden later": {[]Entry{e("1", "a/")}, []Entry{e("1", "a/")}, func(Entry) bool { return true }, nil, "remove 1"},
		"singletons are never mounted, unmounted or hidden": {
			[]Entry{e("1", "sys/", `"type":"system"`), e("2", "identity/", `"type":"identity"`)},
			[]Entry{e("1", "sys/", `"type":"system"`), e("3", "identity/", `"type":"identity"`)},
			func(Entry) bool { return true }, nil, "",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, describe(Diff(tt.running, tt.stored, tt.hidden, tt.built)))
		})
	}
}

func TestDecodeReadsCompressedTables(t *testing.T) {
	t.Parallel()
	raw, err := jsonutil.EncodeJSONAndCompress(map[string]any{
		"type": "mounts",
		"entries": []map[string]any{{
			"uuid": "1", "path": "a/", "type": "kv", "options": map[string]string{"version": "2"}, "invented_later": 7,
		}},
	}, nil)
	require.NoError(t, err)
	entries, err := Decode(raw)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "2", entries[0].Options["version"])
	require.Contains(t, string(entries[0].Raw), "invented_later")

	_, err = Decode([]byte("garbage"))
	require.Error(t, err)
	entries, err = Decode(nil)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestFilter(t *testing.T) {
	t.Parallel()
	const raw = `{"type":"mounts","entries":[{"uuid":"1","path":"a/","type":"kv"},{"uuid":"2","path":"b/","type":"kv"},` +
		`{"uuid":"3","path":"c/","type":"kv","later":1},{"uuid":"4","path":"sys/","type":"system"}]}`
	const local = `{"entries":[{"uuid":"9","path":"a/deep/","type":"kv","local":true}]}`
	out, err := Filter([]byte(raw), []byte(local), func(e Entry) bool { return e.Path != "c/" })
	require.NoError(t, err)
	require.JSONEq(t, `{"type":"mounts","entries":[{"uuid":"3","path":"c/","type":"kv","later":1},{"uuid":"4","path":"sys/","type":"system"}]}`, string(out))

	same, err := Filter([]byte(raw), nil, nil)
	require.NoError(t, err)
	require.Equal(t, raw, string(same))
}
