// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// cli runs the server binary as an operator's vault command.
func cli(t *testing.T, c *cluster.Cluster, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.Options().Binary, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "VAULT_ADDR=" + c.Node(0).Address(),
		"VAULT_CACERT=" + c.GetCACertPEMFile(), "VAULT_TOKEN=" + c.GetRootToken(), "NO_COLOR=1",
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// random matches what differs from run to run in the command's output.
var random = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|` +
	`_[0-9a-f]{8}\b|hv[sb]\.[\w-]+|\d{4}-\d\d-\d\d[T ][\d:.]+(Z| UTC|[+-]\d\d:\d\d)?( m=\S+)?|127\.0\.0\.1:\d+|\b[A-Za-z0-9]{24}\b|\d+m\d+s|\d\d [A-Z][a-z]{2} \d\d \d\d:\d\d UTC|\b\d{10}\b`)

// cliFlow is a first day with Vault. It returns the outputs without random values and
// times.
func cliFlow(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	var all strings.Builder
	for _, line := range []string{
		"version", "status", "secrets list", "auth list", "policy list", "token lookup",
		"secrets enable -path=kv kv-v2", "kv put -mount=kv app user=u password=p", "kv get -mount=kv app",
		"kv put -mount=kv app user=v", "kv metadata get -mount=kv app", "kv get -mount=kv -version=1 app",
		"kv get -mount=kv missing",
		"secrets enable transit", "write -f transit/keys/k", "read transit/keys/nothing",
		"auth enable userpass", "write auth/userpass/users/u password=p policies=default",
		"write -f sys/replication/performance/primary/enable extra=1 -bad",
		"operator raft list-peers", "operator key-status", "operator rotate", "path-help sys/mounts",
		"plugin list secret", "plugin info -version= secret kv", "audit list", "lease lookup none", "no-such-command",
	} {
		out, err := cli(t, c, strings.Fields(line)...)
		fmt.Fprintf(&all, "$ vault %s\n%s", line, out)
		if err != nil {
			fmt.Fprintf(&all, "(%v)\n", err)
		}
	}
	require.Contains(t, all.String(), "Success! Enabled the kv-v2 secrets engine")
	text := random.ReplaceAllString(all.String(), "…")
	// Column widths follow the replaced values.
	return regexp.MustCompile(`[ -]{2,}`).ReplaceAllString(text, "  ")
}
