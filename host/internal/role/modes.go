// SPDX-License-Identifier: MPL-2.0

package role

import "github.com/vault-replication/vault-replication/shared/replication"

// ofClients is the mode whose secondaries serve clients. There can be only one: a request is forwarded to one primary,
// its answer names one index, and one filter hides mounts.
const ofClients = replication.Performance

// modes that a cluster can have a role in.
var modes = replication.Modes()
