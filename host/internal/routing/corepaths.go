// SPDX-License-Identifier: MPL-2.0

package routing

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vault-replication/vault-replication/host/vaultname"
)

// Way says what a performance secondary does with the writing operations of a path of the
// core's own backends.
type Way int

// The ways. Only AtOnce, IfRefused and ByAlias let a request leave the cluster, and
// the receiver takes no other.
const (
	// Local: Vault's handler alone decides, whatever it answers.
	Local Way = iota
	// OnPrimary: refused. The answer says so and gives the row's reason.
	OnPrimary
	// AtOnce: always writes shared storage; the handler is not run here.
	AtOnce
	// IfRefused: writes shared or local storage, depending on the request.
	IfRefused
	// HereOrOnPrimary: may write local storage here. A write to shared storage is refused
	// as with OnPrimary.
	HereOrOnPrimary
	// ByAlias: as IfRefused for an alias of a local mount, otherwise AtOnce.
	ByAlias
)

// corePrefixes are the paths of the core's own backends, the same on every cluster. Their
// UUIDs and accessors tell nothing more and are not sent.
var corePrefixes = map[string]string{vaultname.System: "sys/", vaultname.Identity: "identity/",
	vaultname.Token: "auth/token/"}

// CorePath is a row of the table of the core's own paths.
type CorePath struct {
	Backend string
	// Pattern is the path's pattern in Vault's source, without anchors.
	Pattern string
	// Prefix makes the row apply to all patterns that begin with Pattern. Such a row never lets a request leave the
	// cluster.
	Prefix bool
	Way    Way
	// Reads makes the row apply to reads and lists too.
	Reads bool
	// Merges says that the operation merges entities. The primary does not know the aliases of a secondary's local mounts,
	// so a merge of two aliases on one local mount is refused here.
	Merges bool
	// Behind says that a backend behind the handler may ask the primary. If that fails, the
	// client gets that error, not what the handler makes of it.
	Behind bool
	Why    string

	match *regexp.Regexp
}

// CorePaths is the table. A path that it does not name stays local on a secondary, and a
// primary refuses it. A test finds paths of Vault that it does not name.
var CorePaths = slices.Concat(systemPaths, identityPaths, tokenPaths)

// paths are rows that differ in their patterns alone.
func paths(row CorePath, patterns ...string) []CorePath {
	rows := slices.Repeat([]CorePath{row}, len(patterns))
	for i, p := range patterns {
		rows[i].Pattern = p
		if !row.Prefix {
			rows[i].match = regexp.MustCompile("^(?:" + p + ")$")
		}
	}
	return rows
}

// of are the rows of one of the core's backends.
func of(backend string, groups ...[]CorePath) []CorePath {
	rows := slices.Concat(groups...)
	for i := range rows {
		rows[i].Backend = backend
	}
	return rows
}

// writing are the operations that a path's way is about.
var writing = []logical.Operation{logical.CreateOperation, logical.UpdateOperation, logical.PatchOperation,
	logical.DeleteOperation}

var reading = []logical.Operation{logical.ReadOperation, logical.ListOperation}

// rowOf is the row of a pattern as a backend registers it.
func rowOf(backend, pattern string) (CorePath, bool) {
	pattern = strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$")
	for _, r := range CorePaths {
		if r.Backend == backend && (r.Pattern == pattern || r.Prefix && strings.HasPrefix(pattern, r.Pattern)) {
			return r, true
		}
	}
	return CorePath{}, false
}

// Named says whether the table names a pattern.
func Named(backend, pattern string) bool {
	_, ok := rowOf(backend, pattern)
	return ok
}

// way is the row's way for an operation.
func (r CorePath) way(op logical.Operation) Way {
	if slices.Contains(writing, op) || r.Reads && slices.Contains(reading, op) {
		return r.Way
	}
	return Local
}

// mayArrive says whether a primary takes an operation on a path of one of the
// core's backends. A row that forbids wins over one that allows.
func mayArrive(backend string, op logical.Operation, path string) bool {
	allowed := false
	for _, r := range CorePaths {
		if r.Backend != backend || r.match == nil || !r.match.MatchString(path) {
			continue
		}
		switch r.way(op) {
		case AtOnce, IfRefused, ByAlias:
			allowed = true
		case OnPrimary, HereOrOnPrimary:
			return false
		case Local:
		}
	}
	return allowed
}
