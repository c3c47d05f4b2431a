// SPDX-License-Identifier: MPL-2.0

package vaultcore

import (
	"github.com/hashicorp/vault/physical/consul"
	"github.com/hashicorp/vault/physical/postgresql"
	"github.com/hashicorp/vault/physical/raft"
	"github.com/hashicorp/vault/sdk/physical/file"

	"github.com/vault-replication/vault-replication/host/internal/vaultcore/internal/pinned"
	"github.com/vault-replication/vault-replication/host/storage/unstorable"
)

const (
	// raftKeyMax is bbolt's.
	raftKeyMax = 32768
	// consulValueMax is Consul's default of kv_max_value_size.
	consulValueMax = 512 << 10
	// postgresKeyMax is about what a row of an index of PostgreSQL takes, a third of a page.
	postgresKeyMax = 2600
	// fileNameMax is what file systems take, without the mark that file storage puts ahead
	// of a key's name and the digits of its temporary file.
	fileNameMax = 255 - 1 - 10
)

// StorageLimits are what the storage takes, as far as that is known without asking it:
// the defaults of what is configured elsewhere.
func (n Node) StorageLimits() unstorable.Limits {
	switch store := n.UnderlyingStorage().(type) {
	case *raft.RaftBackend:
		return unstorable.Limits{Value: int(*pinned.Field[uint64](store, "maxEntrySize")), ValueSetting: "max_entry_size",
			Key: raftKeyMax}
	case *consul.ConsulBackend:
		return unstorable.Limits{Value: consulValueMax, ValueSetting: "kv_max_value_size of Consul"}
	case *postgresql.PostgreSQLBackend:
		return unstorable.Limits{Key: postgresKeyMax}
	case *file.FileBackend:
		return unstorable.Limits{Name: fileNameMax}
	}
	return unstorable.Limits{}
}
