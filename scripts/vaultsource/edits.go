// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
)

// edit replaces one piece of a file of Vault.
type edit struct {
	file string // below the module
	old  string // must be there exactly once
	new  string
	why  string
}

// The version of Vault and that of its sdk are released apart. No published sdk is the one in the
// tree of Vault 1.21.4: sdk v0.21.0 is the nearest, and these are the places where the two differ.
var edits = []edit{
	{
		"vault/identity_store_util.go",
		"activateDeduplication(ctx context.Context, req *logical.Request) error {",
		"activateDeduplication(ctx context.Context, req *logical.Request, _ string) error {",
		"the sdk hands the function that activates a feature one string more, which no feature of this edition uses",
	},
	{
		"vault/logical_system_activation_flags.go",
		".ActivationFunc(ctx, nil);",
		`.ActivationFunc(ctx, nil, "");`,
		"the caller of that function",
	},
	{
		"builtin/logical/transit/path_restore.go",
		"restoredKeyName, err := b.lm.RestorePolicy(",
		"restoredKeyName, err := restoredName(keyName, backupB64), b.lm.RestorePolicy(",
		"the sdk restores a key and does not say under which name; only an observation needs that",
	},
	// Not for the sdk: a fault of Vault that keeps a change of role from its end.
	{
		"physical/raft/raft_autopilot.go",
		"<-stopCh",
		"b.l.Unlock()\n\t<-stopCh\n\tb.l.Lock()",
		"the routine that is waited for takes the lock, so that no seal, step-down or restart in place ended",
	},
	{
		"command/server/config.go",
		"append(result.FoundKeys, sharedConfig.FoundKeys...))\n\t// Assign file info",
		"append(result.FoundKeys, sharedConfig.FoundKeys...)); delete(result.UnusedKeys, \"replication\")\n\t// Assign " +
			"file info",
		"the parser of this edition warns of the replication stanza, which the host reads",
	},
	{
		"http/sys_health.go",
		"core.EntLastWAL()",
		"core.ReplicationLastWAL()",
		"the health of an active node has last_wal, and this edition has no journal to ask",
	},
	{
		"vault/logical_system.go",
		"core.EntLastWAL()",
		"core.ReplicationLastWAL()",
		"sys/leader has it too",
	},
}

// added are files of our own that the copy has beside Vault's.
var added = map[string]string{
	"builtin/logical/transit/restored_name.go": `// SPDX-License-Identifier: MPL-2.0

package transit

import (
	"encoding/base64"
	"encoding/json"
)

// restoredName is the name that a restored key has: the one that was asked for, or its own.
func restoredName(asked, backup string) string {
	if asked != "" {
		return asked
	}
	var key struct {
		Policy struct {
			Name string ` + "`json:\"name\"`" + `
		} ` + "`json:\"policy\"`" + `
	}
	plain, err := base64.StdEncoding.DecodeString(backup)
	if err != nil || json.Unmarshal(plain, &key) != nil {
		return ""
	}
	return key.Policy.Name
}
`,
	"vault/replication_last_wal.go": `// SPDX-License-Identifier: MPL-2.0

package vault

import "sync"

// lastWALs are asked for the last sequence of the journal of replication, by core.
var lastWALs sync.Map

// SetReplicationLastWAL has a core tell the last sequence of a journal. Nil ends that.
func SetReplicationLastWAL(c *Core, last func() uint64) {
	if last == nil {
		lastWALs.Delete(c)
		return
	}
	lastWALs.Store(c, last)
}

// ReplicationLastWAL is 0 without a journal.
func (c *Core) ReplicationLastWAL() uint64 {
	if last, ok := lastWALs.Load(c); ok {
		return last.(func() uint64)()
	}
	return 0
}
`,
	// What links Vault imports it, so that a build without the copy fails with its path.
	"run_make_prepare_first/doc.go": `// SPDX-License-Identifier: MPL-2.0

// Package run_make_prepare_first is in the copy of Vault that make prepare makes, and nowhere else.
package run_make_prepare_first
`,
}

// apply makes the edits of one file.
func apply(edits []edit, file string, content []byte) ([]byte, error) {
	for _, e := range edits {
		if e.file != file {
			continue
		}
		if n := bytes.Count(content, []byte(e.old)); n != 1 {
			return nil, fmt.Errorf("%s has %q %d times, not once: read it again and change the edit in "+
				"scripts/vaultsource/edits.go (it is there because %s)", file, e.old, n, e.why)
		}
		content = bytes.Replace(content, []byte(e.old), []byte(e.new), 1)
	}
	return content, nil
}

// identity is short and differs where the edits or the files that are added do.
func identity(edits []edit, added map[string]string) string {
	h := sha256.New()
	for _, e := range edits {
		_, _ = fmt.Fprintf(h, "%q %q %q\n", e.file, e.old, e.new)
	}
	for _, name := range slices.Sorted(maps.Keys(added)) {
		_, _ = fmt.Fprintf(h, "%q %q\n", name, added[name])
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6])
}
