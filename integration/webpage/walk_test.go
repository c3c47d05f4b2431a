// SPDX-License-Identifier: MPL-2.0

// Package webpage_test walks through Vault's web page with a browser. It needs a server that has the page, node,
// Debian's Chromium and playwright-core: make walk-ui has them, and otherwise the walk is skipped.
package webpage_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// place is a cluster as the walk knows it.
type place struct {
	Address string `json:"address"`
	Token   string `json:"token"`
	Share   string `json:"share"`
}

func placeOf(c *cluster.Cluster) place {
	return place{c.Node(0).Address(), c.GetRootToken(), base64.StdEncoding.EncodeToString(c.GetBarrierKeys()[0])}
}

// Both modes of replication are set up, and DR fails over and back, by what an operator clicks and types.
func TestWalkThroughThePages(t *testing.T) {
	if os.Getenv("PLAYWRIGHT") == "" {
		t.Skip("PLAYWRIGHT does not name the folder of playwright-core: make walk-ui does")
	}
	ca := cluster.NewTestCA(t)
	start := func(name string) *cluster.Cluster {
		return cluster.New(t, cluster.Options{
			Name: name, Binary: cluster.Binary(t, "vault-replication"), CA: ca, ExtraHCL: "ui = true",
		})
	}
	east, west, eu := start("east"), start("west"), start("eu")
	put := func(path string, data map[string]any) {
		_, err := east.Node(0).APIClient().Logical().WriteWithContext(t.Context(), path, data)
		require.NoError(t, err)
	}
	put("sys/mounts/shared", map[string]any{"type": "kv"})
	put("sys/mounts/us-only", map[string]any{"type": "kv"})
	put("sys/policies/acl/operator", map[string]any{"policy": `path "*" { capabilities = ["read", "list", "sudo"] }`})
	put("sys/auth/userpass", map[string]any{"type": "userpass"})
	put("auth/userpass/users/ann", map[string]any{"password": "walk", "policies": "operator"})

	shots := os.Getenv("SCREENSHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	places, err := json.Marshal(map[string]any{
		"east": placeOf(east), "west": placeOf(west), "eu": placeOf(eu), "shots": shots, "ca": ca.File,
	})
	require.NoError(t, err)
	walk := exec.CommandContext(t.Context(), "node", "walk.mjs")
	walk.Env = append(os.Environ(), "WALK="+string(places))
	walk.Stdout, walk.Stderr = os.Stdout, os.Stderr
	require.NoError(t, walk.Run())
}
