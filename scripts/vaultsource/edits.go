// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/vault-replication/vault-replication/scripts/textedit"

// edit replaces one piece of a file of Vault.
type edit = textedit.Edit

// The version of Vault and that of its sdk are released apart. No published sdk is the one in the
// tree of Vault 1.21.4: sdk v0.21.0 is the nearest, and these are the places where the two differ.
var edits = []edit{
	{
		File: "vault/identity_store_util.go",
		Old:  "activateDeduplication(ctx context.Context, req *logical.Request) error {",
		New:  "activateDeduplication(ctx context.Context, req *logical.Request, _ string) error {",
		Why:  "the sdk hands the function that activates a feature one string more, which no feature of this edition uses",
	},
	{
		File: "vault/logical_system_activation_flags.go",
		Old:  ".ActivationFunc(ctx, nil);",
		New:  `.ActivationFunc(ctx, nil, "");`,
		Why:  "the caller of that function",
	},
	{
		File: "builtin/logical/transit/path_restore.go",
		Old:  "restoredKeyName, err := b.lm.RestorePolicy(",
		New:  "restoredKeyName, err := restoredName(keyName, backupB64), b.lm.RestorePolicy(",
		Why:  "the sdk restores a key and does not say under which name; only an observation needs that",
	},
	// Not for the sdk: a fault of Vault that keeps a change of role from its end.
	{
		File: "physical/raft/raft_autopilot.go",
		Old:  "<-stopCh",
		New:  "b.l.Unlock()\n\t<-stopCh\n\tb.l.Lock()",
		Why:  "the routine that is waited for takes the lock, so that no seal, step-down or restart in place ended",
	},
	{
		File: "command/server/config.go",
		Old:  "append(result.FoundKeys, sharedConfig.FoundKeys...))\n\t// Assign file info",
		New: "append(result.FoundKeys, sharedConfig.FoundKeys...)); delete(result.UnusedKeys, \"replication\")\n" +
			"\t// Assign file info",
		Why: "the parser of this edition warns of the replication stanza, which the host reads",
	},
	{
		File: "http/sys_health.go",
		Old:  "core.EntLastWAL()",
		New:  "core.ReplicationLastWAL()",
		Why:  "the health of an active node has last_wal, and this edition has no journal to ask",
	},
	{
		File: "vault/logical_system.go",
		Old:  "core.EntLastWAL()",
		New:  "core.ReplicationLastWAL()",
		Why:  "sys/leader has it too",
	},
	{
		File: "http/assets_stub.go",
		Old:  "return nil",
		New:  "return replicationUI",
		Why:  "the web page is embedded by the host: the module has no built one, and the go command takes none for it",
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
	"http/replication_ui.go": `// SPDX-License-Identifier: MPL-2.0

package http

import "net/http"

// replicationUI is the web page.
var replicationUI http.FileSystem

// SetReplicationUI has all handlers that are made from now on serve this page below /ui/, where ui = true.
func SetReplicationUI(page http.FileSystem) { uiBuiltIn, replicationUI = true, page }
`,
	// What links Vault imports it, so that a build without the copy fails with its path.
	"run_make_prepare_first/doc.go": `// SPDX-License-Identifier: MPL-2.0

// Package run_make_prepare_first is in the copy of Vault that make prepare makes, and nowhere else.
package run_make_prepare_first
`,
}
