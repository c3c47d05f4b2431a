// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/transcript"
	"github.com/vault-replication/vault-replication/scripts/archive"
)

const (
	deploymentDocument = "../docs/deployment.md"
	releaseName        = "vault-replication_1.0.0_linux_amd64"
)

// released is the folder of a release, with links to what was built.
func released(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "deploy", "systemd"), 0o700))
	unit, err := os.ReadFile("../deploy/systemd/vault.service")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "deploy", "systemd", "vault.service"), unit, 0o600))
	for _, name := range []string{"vault-replication", "plugins"} {
		require.NoError(t, os.Symlink(filepath.Join(filepath.Dir(product(t)), name), filepath.Join(dir, name)))
	}
}

// packed writes the archive of a release and its checksum. It is not compressed: that takes longer than all else here.
func packed(t *testing.T, dir string) {
	t.Helper()
	folder := t.TempDir()
	released(t, folder)
	for _, name := range []string{"vault-replication", "plugins"} {
		built := filepath.Join(filepath.Dir(product(t)), name)
		require.NoError(t, os.Remove(filepath.Join(folder, name)))
		out, err := exec.Command("cp", "-a", "--reflink=auto", built, filepath.Join(folder, name)).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	file, err := os.Create(filepath.Join(dir, releaseName+".tar.gz"))
	require.NoError(t, err)
	defer file.Close()
	sum := sha256.New()
	require.NoError(t, archive.Write(io.MultiWriter(file, sum), folder, releaseName, time.Unix(0, 0), gzip.NoCompression))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "SHA256SUMS"),
		fmt.Appendf(nil, "%x  %s.tar.gz\n", sum.Sum(nil), releaseName), 0o600))
}

// connect is a client of a machine's server.
func connect(t *testing.T, m *cluster.Machine, token string) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	config.Address = m.Address()
	require.NoError(t, config.ConfigureTLS(&api.TLSConfig{CACert: m.Root + "/etc/vault.d/tls/ca.pem"}))
	c, err := api.NewClient(config)
	require.NoError(t, err)
	c.SetToken(token)
	return c
}

const stockConfig = `
disable_mlock = true
api_addr      = "https://127.0.0.1:%d"
cluster_addr  = "https://127.0.0.1:%d"
listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_cert_file   = "/etc/vault.d/tls/vault.pem"
  tls_key_file    = "/etc/vault.d/tls/vault.key"
}
storage %q {
  path = "/opt/vault/data"
}
`

// What the document says of an existing Vault is done to one, as HashiCorp's package installs it, on each storage.
func TestExistingVaultIsMovedInAndOut(t *testing.T) {
	t.Parallel()
	for _, storage := range []cluster.Storage{cluster.Raft, cluster.File} {
		t.Run(string(storage), func(t *testing.T) {
			parallel(t)
			ctx := t.Context()
			m := cluster.NewMachine(t, cluster.NewTestCA(t))
			require.NoError(t, os.MkdirAll(m.Root+"/opt/vault/data", 0o700))
			require.NoError(t, os.Symlink(stock(t), m.Root+"/usr/bin/vault"))
			m.Put("/etc/vault.d/vault.hcl", fmt.Sprintf(stockConfig, m.APIPort, m.ClusterPort, storage))
			m.Put("/usr/lib/systemd/system/vault.service", "ExecStart=/usr/bin/vault server -config=/etc/vault.d/vault.hcl")
			require.NoError(t, m.Systemctl(ctx, "start"))
			keys, err := connect(t, m, "").Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
			require.NoError(t, err)
			client := connect(t, m, keys.RootToken)
			_, err = client.Sys().UnsealWithContext(ctx, keys.Keys[0])
			require.NoError(t, err)
			leads := func() {
				t.Helper()
				require.NoError(t, cluster.Wait(ctx, "it leads", func(ctx context.Context) error {
					_, err := client.Sys().ListMountsWithContext(ctx)
					return err
				}))
			}
			leads()
			require.NoError(t, client.Sys().MountWithContext(ctx, "secret", &api.MountInput{Type: "kv"}))
			write(t, client, "secret/app/db", map[string]any{"user": "app"})

			steps, err := transcript.Read(deploymentDocument)
			require.NoError(t, err)
			dir := t.TempDir()
			packed(t, dir)
			player := &transcript.Player{Steps: steps, Dir: dir, Limit: limit, Log: t.Logf, Names: m.Names(),
				Terminals: map[string][]string{"node": append(m.Terminal(), "VAULT_TOKEN="+keys.RootToken)}}
			follow := func(heading string, before int) {
				t.Helper()
				require.NoError(t, player.Section(ctx, heading, before))
				require.NoError(t, player.Answer(ctx, heading, keys.Keys[0]))
				require.NoError(t, player.Section(ctx, heading))
			}
			follow("Move in", 9)
			leads()
			_, err = client.Logical().WriteWithContext(ctx, cluster.PathPrimaryEnable, nil)
			require.NoError(t, err)
			follow("Move out", 5)
			require.NoDirExists(t, m.Root+"/opt/"+releaseName)
		})
	}
}
