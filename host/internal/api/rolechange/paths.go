// SPDX-License-Identifier: MPL-2.0

package rolechange

import (
	"path"
	"slices"
	"strings"
)

// streams are requests that last as long as their clients want, most of them with the
// core's state lock held.
var streams = []string{
	"/v1/sys/monitor",
	"/v1/sys/pprof/",
	"/v1/sys/events/subscribe/",
	"/v1/sys/storage/raft/snapshot", "/v1/sys/storage/raft/snapshot-force",
	"/v1/sys/internal/counters/activity/export",
}

const (
	healthPath = "/v1/sys/health"
	leaderPath = "/v1/sys/leader"
)

// local are the paths that Vault answers on a standby without the active node.
var local = []string{
	healthPath, leaderPath,
	"/v1/sys/seal", "/v1/sys/unseal", "/v1/sys/seal-status", "/v1/sys/seal-backend-status", "/v1/sys/init",
	"/v1/sys/host-info", "/v1/sys/config/state/", "/v1/sys/internal/ui/feature-flags",
	"/v1/sys/metrics", "/v1/sys/monitor", "/v1/sys/pprof/", "/v1/sys/in-flight-req",
	"/v1/sys/storage/raft/bootstrap", "/v1/sys/storage/raft/join",
}

func isStream(p string) bool { return matches(streams, clean(p)) }

// isStatus says whether a path asks for the status of replication.
func isStatus(p string) bool {
	return strings.HasPrefix(p, "/v1/sys/replication/") && strings.HasSuffix(p, "status")
}

func onThisNode(p string) bool { return !strings.HasPrefix(p, "/v1/") || matches(local, clean(p)) }

// clean keeps the slash at the end of a folder.
func clean(p string) string {
	cleaned := path.Clean(p)
	if strings.HasSuffix(p, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned
}

func matches(table []string, p string) bool {
	return slices.ContainsFunc(table, func(known string) bool {
		return p == known || strings.HasSuffix(known, "/") && strings.HasPrefix(p, known)
	})
}
