// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"errors"
	"fmt"
	"os"
)

// Storage is a kind of storage backend.
type Storage string

// The storages that need nothing but a directory.
const (
	Raft  Storage = "raft"
	File  Storage = "file"
	Inmem Storage = "inmem"
)

// PostgreSQL is Vault's storage of that name, with high availability.
const PostgreSQL Storage = "postgresql"

// Tables are where a cluster with PostgreSQL storage keeps what it has.
type Tables struct {
	// URL of the database, with name and password.
	URL string
	// Entries and Locks are the names of the two tables.
	Entries, Locks string
}

// TransitSeal makes a cluster unseal itself with the transit engine of another
// Vault.
type TransitSeal struct {
	Address string
	Token   string
	KeyName string
	CAFile  string
}

// Options describe a cluster. The zero value of a field has the meaning given
// with it; Binary is required.
type Options struct {
	// Name is the cluster's name in logs and in cluster_name.
	Name string
	// Binary is the server to run.
	Binary string
	// Dir keeps configuration, storage and logs; a temporary one by default,
	// removed by Cleanup.
	Dir string
	// KeepDir leaves Dir in place after Cleanup.
	KeepDir bool
	// Storage is Raft by default. File and Inmem have one node.
	Storage Storage
	// Tables are needed for PostgreSQL storage.
	Tables Tables
	// MaxEntrySize is that of Raft; its own default by default.
	MaxEntrySize int
	// Nodes is the number of servers, 1 by default.
	Nodes int
	// DisableTLS serves plain HTTP on the API port.
	DisableTLS bool
	// CA issues the API certificates; a new one by default.
	CA *CA
	// Shares and Threshold of the unseal or recovery key, 1 of 1 by default.
	Shares, Threshold int
	// Seal is Shamir by default.
	Seal *TransitSeal
	// ClusterAddr is the cluster_addr that a node tells others, a URL; by default its own
	// cluster port. Only for clusters of one node.
	ClusterAddr string
	// Partitions gives the nodes a network between their cluster ports in which one can
	// be cut off from the others, see [Cluster.CutOff].
	Partitions bool
	// ListenerHCL is appended to the listener of each node's configuration.
	ListenerHCL string
	// ExtraHCL is appended to each node's configuration.
	ExtraHCL string
	// Env is added to the servers' environment.
	Env []string
	// OpenProfiles serves the profiles of the server without a token, see
	// [Node.Goroutines].
	OpenProfiles bool
	// OpenMetrics serves the metrics of the server without a token.
	OpenMetrics bool
	// LogLevel is "info" by default.
	LogLevel string
	// MayLog are pieces of lines that the test provokes, which no log of a server has otherwise.
	MayLog []string
	// SkipInit leaves the cluster uninitialised.
	SkipInit bool
}

func (o *Options) complete() error {
	if o.Binary == "" {
		return errors.New("cluster: no server binary was named")
	}
	if _, err := os.Stat(o.Binary); err != nil {
		return fmt.Errorf("cluster: the server binary cannot be used: %w", err)
	}
	if o.Name == "" {
		o.Name = "vault"
	}
	if o.Storage == "" {
		o.Storage = Raft
	}
	if o.Nodes == 0 {
		o.Nodes = 1
	}
	if o.Nodes > 1 && o.Storage != Raft && o.Storage != PostgreSQL {
		return fmt.Errorf("cluster: %s storage has one node", o.Storage)
	}
	if o.Shares == 0 {
		o.Shares, o.Threshold = 1, 1
	}
	if o.LogLevel == "" {
		o.LogLevel = "info"
	}
	return nil
}
