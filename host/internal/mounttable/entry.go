// SPDX-License-Identifier: MPL-2.0

package mounttable

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/helper/jsonutil"
)

// Entry is a row of a table: what a comparison needs, and the whole stored row in Raw.
type Entry struct {
	Path        string            `json:"path"`
	Type        string            `json:"type"`
	UUID        string            `json:"uuid"`
	BackendUUID string            `json:"backend_aware_uuid"`
	Accessor    string            `json:"accessor"`
	Local       bool              `json:"local"`
	Tainted     bool              `json:"tainted"`
	Options     map[string]string `json:"options"`

	Raw json.RawMessage `json:"-"`

	version        string
	runningVersion string
	runningSha     string
	plugin         string
}

type stored struct {
	Entry
	Version        string `json:"plugin_version"`
	RunningVersion string `json:"running_plugin_version"`
	RunningSha256  string `json:"running_sha256"`
	Config         struct {
		PluginName string `json:"plugin_name"`
	} `json:"config"`
}

// table keeps its entries unparsed, so that fields that this version does not know survive.
type table struct {
	Type    string            `json:"type"`
	Entries []json.RawMessage `json:"entries"`
}

// Decode reads a stored table, compressed or not. No bytes are an empty table.
func Decode(raw []byte) ([]Entry, error) {
	t, err := decode(raw)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(t.Entries))
	for _, r := range t.Entries {
		e, err := decodeEntry(r)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func decode(raw []byte) (*table, error) {
	t := &table{}
	if len(raw) == 0 {
		return t, nil
	}
	if err := jsonutil.DecodeJSON(raw, t); err != nil {
		return nil, fmt.Errorf("the mount table cannot be read: %w", err)
	}
	return t, nil
}

func decodeEntry(raw json.RawMessage) (Entry, error) {
	var s stored
	if err := json.Unmarshal(raw, &s); err != nil {
		return Entry{}, fmt.Errorf("an entry of the mount table cannot be read: %w", err)
	}
	e := s.Entry
	e.Raw = raw
	e.version, e.runningVersion, e.runningSha = s.Version, s.RunningVersion, s.RunningSha256
	e.plugin = s.Config.PluginName
	return e, nil
}

// Singleton says that the mount is a part of the core. It is there from the start, at one
// path, and is never mounted or unmounted.
func (e Entry) Singleton() bool {
	switch strings.TrimPrefix(e.Type, "ns_") {
	case "system", "identity", "cubbyhole", "token":
		return true
	}
	return false
}

// Settings is equal for two entries that differ in no setting.
func (e Entry) Settings() string {
	var m map[string]any
	if json.Unmarshal(e.Raw, &m) != nil {
		return string(e.Raw)
	}
	// Place and backend of a mount are no settings.
	for _, k := range []string{"table", "path", "uuid", "tainted", "mount_state", "namespace_id", "running_plugin_version",
		"running_sha256"} {
		delete(m, k)
	}
	text, err := json.Marshal(withoutEmpty(m))
	if err != nil {
		return string(e.Raw)
	}
	return string(text)
}

// withoutEmpty drops empty values. An entry in memory has them, the stored one leaves them
// out.
func withoutEmpty(m map[string]any) map[string]any {
	for k, v := range m {
		switch v := v.(type) {
		case nil:
			delete(m, k)
		case bool:
			if !v {
				delete(m, k)
			}
		case float64:
			if v == 0 {
				delete(m, k)
			}
		case string:
			if v == "" {
				delete(m, k)
			}
		case []any:
			if len(v) == 0 {
				delete(m, k)
			}
		case map[string]any:
			if len(withoutEmpty(v)) == 0 {
				delete(m, k)
			}
		}
	}
	return m
}

// Configured is equal for two entries whose backends are built from the same
// configuration.
func (e Entry) Configured() string {
	options, _ := json.Marshal(e.Options)
	if len(e.Options) == 0 {
		options = nil
	}
	return strings.Join([]string{e.Type, e.plugin, e.version, string(options)}, "\x00")
}

// Built is Configured, with the version that the primary runs. A plugin that was reloaded
// there in another version has another one. A built-in backend has the version of each
// cluster's own binary, which does not count.
func (e Entry) Built() string {
	if e.runningSha == "" {
		return e.Configured()
	}
	return strings.Join([]string{e.Configured(), e.runningVersion, e.runningSha}, "\x00")
}

// Overlap says that two paths cannot be mounted at the same time.
func Overlap(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
