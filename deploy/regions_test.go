// SPDX-License-Identifier: MPL-2.0

package deploy

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl"
	"github.com/stretchr/testify/require"
)

var regions = []string{"east", "west"}

// Both regions are configured the same way. The files of two nodes differ only by the node's number.
func TestRegionsDifferByTheirNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"vault.hcl", "node-1.env", "node-2.env", "node-3.env"} {
		one, other := read(t, filepath.Join("regions", regions[0], name)), read(t, filepath.Join("regions", regions[1], name))
		require.Equal(t, one, strings.ReplaceAll(other, regions[1], regions[0]), name)
	}
	first := read(t, "regions/east/node-1.env")
	for _, n := range []string{"2", "3"} {
		other := read(t, fmt.Sprintf("regions/east/node-%s.env", n))
		require.Equal(t, strings.ReplaceAll(first, "vault-1", "vault-"+n), other)
	}
}

// The integration tests start servers with these files. Those of the clouds need a cloud.
func TestSealsAreOneStanzaEach(t *testing.T) {
	t.Parallel()
	for kind, settings := range map[string][]string{
		"transit":       {"address", "tls_ca_cert", "token", "mount_path", "key_name"},
		"awskms":        {"region", "kms_key_id"},
		"azurekeyvault": {"vault_name", "key_name"},
		"gcpckms":       {"project", "region", "key_ring", "crypto_key"},
	} {
		var found struct{ Seal map[string]map[string]string }
		require.NoError(t, hcl.Decode(&found, read(t, "regions/seal/"+kind+".hcl")), kind)
		require.Len(t, found.Seal, 1, kind)
		var names []string
		for name := range found.Seal[kind] {
			names = append(names, name)
		}
		require.ElementsMatch(t, settings, names, kind)
	}
}
