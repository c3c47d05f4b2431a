// SPDX-License-Identifier: MPL-2.0

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mostExposure is what systemd-analyze says of the unit, times ten: 1.6, and what it may be with another systemd.
const mostExposure = "20"

// unit is the unit in a folder, with programs that are on this machine.
func unit(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("true")
	require.NoError(t, err)
	text := strings.NewReplacer("/opt/vault-replication/vault-replication ", program+" ", "/bin/kill ", program+" ").
		Replace(read(t, "systemd/vault.service"))
	file := filepath.Join(t.TempDir(), "vault.service")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

func TestUnitIsOneOfSystemd(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit(t)).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
	out, err = exec.Command("systemd-analyze", "security", "--offline=yes", "--threshold="+mostExposure, unit(t)).
		CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestUnitKeepsSecretsInMemoryAndReloads(t *testing.T) {
	t.Parallel()
	lines := strings.Split(read(t, "systemd/vault.service"), "\n")
	for _, line := range []string{
		"LimitMEMLOCK=infinity", "LimitCORE=0", "MemorySwapMax=0", "Restart=on-failure", "Type=notify", "User=vault",
		"ExecReload=/bin/kill --signal HUP $MAINPID", "NoNewPrivileges=true", "StateDirectory=vault",
	} {
		require.Contains(t, lines, line)
	}
}
