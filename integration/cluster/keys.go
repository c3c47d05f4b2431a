// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"bytes"

	"github.com/hashicorp/vault/sdk/helper/testcluster"
)

// Nodes are the servers in the order of their start.
func (c *Cluster) Nodes() []testcluster.VaultClusterNode {
	nodes := make([]testcluster.VaultClusterNode, len(c.nodes))
	for i, n := range c.nodes {
		nodes[i] = n
	}
	return nodes
}

// ClusterID is the name of the cluster: it serves as the secondary id.
func (c *Cluster) ClusterID() string { return c.id }

// GetCACertPEMFile is the CA of the API listeners.
func (c *Cluster) GetCACertPEMFile() string {
	if c.opts.CA == nil {
		return ""
	}
	return c.opts.CA.File
}

// GetBarrierKeys are the unseal shares; none with auto-unseal.
func (c *Cluster) GetBarrierKeys() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return copyKeys(c.barrierKeys)
}

// SetBarrierKeys replaces the unseal shares.
func (c *Cluster) SetBarrierKeys(keys [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.barrierKeys = copyKeys(keys)
}

// GetRecoveryKeys are the recovery shares; none with Shamir.
func (c *Cluster) GetRecoveryKeys() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opts.Seal == nil {
		return nil
	}
	return copyKeys(c.recoveryKeys)
}

// SetRecoveryKeys replaces the recovery shares.
func (c *Cluster) SetRecoveryKeys(keys [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recoveryKeys = copyKeys(keys)
}

// GetBarrierOrRecoveryKeys are the shares that operators hold.
func (c *Cluster) GetBarrierOrRecoveryKeys() [][]byte {
	if c.opts.Seal != nil {
		return c.GetRecoveryKeys()
	}
	return c.GetBarrierKeys()
}

// GetRootToken is the token of [Node.APIClient].
func (c *Cluster) GetRootToken() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rootToken
}

// SetRootToken replaces it.
func (c *Cluster) SetRootToken(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rootToken = token
}

func copyKeys(keys [][]byte) [][]byte {
	var out [][]byte
	for _, k := range keys {
		out = append(out, bytes.Clone(k))
	}
	return out
}
