// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
	"github.com/vault-replication/vault-replication/integration/postgres"
)

// Engines keep in memory what storage holds. What the primary changes there is
// used by the secondary without a restart, and a client of it that reads all the
// while sees no failure.
func TestPerformanceEnginesFollowLive(t *testing.T) {
	parallel(t)
	plugins := t.TempDir()
	sum := buildExternalPlugin(t, filepath.Join(plugins, "externalplugin"))
	primary, secondary := clusters(t, cluster.Options{ExtraHCL: fmt.Sprintf("plugin_directory = %q", plugins)})
	require.NoError(t, primary.EnablePerformancePrimary(t.Context()))
	require.NoError(t, secondary.JoinPerformance(t.Context(), primary, "west"))
	mounted(t, primary, secondary, "steady")
	put(t, primary, "steady/a", map[string]any{"value": "x"})
	eventually(t, secondary, "steady/a", "value", "x")
	stop := readSteadily(t, secondary.Node(0).APIClient(), "steady/a")

	t.Run("kv becomes versioned", func(t *testing.T) { kvBecomesVersioned(t, primary, secondary) })
	t.Run("transit", func(t *testing.T) { transitFollows(t, primary, secondary) })
	t.Run("pki", func(t *testing.T) { pkiFollows(t, primary, secondary) })
	t.Run("database", func(t *testing.T) { databaseFollows(t, primary, secondary) })
	t.Run("plugin version", func(t *testing.T) { pluginVersionFollows(t, primary, secondary, sum) })
	t.Run("writes meet reloads", func(t *testing.T) { writesMeetReloads(t, primary, secondary) })
	t.Run("plugin in the place of a built-in engine", func(t *testing.T) { pluginTakesAPlace(t, primary, secondary, sum) })
	stop()
}

func kvBecomesVersioned(t *testing.T, primary, secondary *cluster.Cluster) {
	mounted(t, primary, secondary, "kv")
	put(t, primary, "kv/a", map[string]any{"v": "one"})
	eventually(t, secondary, "kv/a", "v", "one")
	put(t, primary, "sys/mounts/kv/tune", map[string]any{"options": map[string]any{"version": "2"}})
	cluster.Eventually(t, limit, "the upgraded secret is read on the secondary", func(ctx context.Context) error {
		return versioned(ctx, secondary, "kv/data/a", "one")
	})
	put(t, secondary, "kv/data/a", map[string]any{"data": map[string]any{"v": "two"}})
	require.NoError(t, versioned(t.Context(), secondary, "kv/data/a", "two"))
	require.NoError(t, versioned(t.Context(), primary, "kv/data/a", "two"))
}

func versioned(ctx context.Context, c *cluster.Cluster, path, want string) error {
	secret, err := client(c).ReadWithContext(ctx, path)
	if err != nil {
		return err
	}
	if secret == nil {
		return errors.New("there is no secret")
	}
	if data, _ := secret.Data["data"].(map[string]any); data["v"] != want {
		return fmt.Errorf("it answers %v", secret.Data)
	}
	return nil
}

func transitFollows(t *testing.T, primary, secondary *cluster.Cluster) {
	put(t, primary, "sys/mounts/transit", map[string]any{"type": "transit"})
	put(t, primary, "transit/keys/k", nil)
	eventually(t, secondary, "transit/keys/k", "latest_version", "1")
	encrypt := func(ctx context.Context) (string, error) {
		secret, err := client(secondary).WriteWithContext(ctx, "transit/encrypt/k", map[string]any{"plaintext": "aGk="})
		if err != nil {
			return "", err
		}
		return fmt.Sprint(secret.Data["ciphertext"]), nil
	}
	old, err := encrypt(t.Context())
	require.NoError(t, err)
	require.Contains(t, old, "vault:v1:")
	put(t, primary, "transit/keys/k/rotate", nil)
	cluster.Eventually(t, limit, "the secondary encrypts with the new key", func(ctx context.Context) error {
		text, err := encrypt(ctx)
		if err == nil && !strings.HasPrefix(text, "vault:v2:") {
			err = errors.New(text)
		}
		return err
	})
	put(t, primary, "transit/keys/k/config", map[string]any{"min_decryption_version": 2})
	cluster.Eventually(t, limit, "the secondary refuses the old key", func(ctx context.Context) error {
		_, err := client(secondary).WriteWithContext(ctx, "transit/decrypt/k", map[string]any{"ciphertext": old})
		if err == nil {
			return errors.New("it was decrypted")
		}
		if !strings.Contains(err.Error(), "too old") {
			return err
		}
		return nil
	})
}

func pkiFollows(t *testing.T, primary, secondary *cluster.Cluster) {
	put(t, primary, "sys/mounts/pki", map[string]any{"type": "pki"})
	generate := func(name string) (id string) {
		secret := put(t, primary, "pki/root/generate/internal", map[string]any{"common_name": name + ".test",
			"issuer_name": name, "ttl": "24h"})
		return fmt.Sprint(secret.Data["issuer_id"])
	}
	issue := func(ctx context.Context) (*api.Secret, *x509.Certificate, error) {
		secret, err := client(secondary).WriteWithContext(ctx, "pki/issue/web",
			map[string]any{"common_name": "a.test", "ttl": "1h"})
		if err != nil {
			return nil, nil, err
		}
		block, _ := pem.Decode([]byte(fmt.Sprint(secret.Data["certificate"])))
		if block == nil {
			return nil, nil, errors.New("no certificate")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		return secret, certificate, err
	}
	from := func(issuer string) {
		t.Helper()
		cluster.Eventually(t, limit, "the secondary issues from "+issuer, func(ctx context.Context) error {
			_, certificate, err := issue(ctx)
			if err == nil && certificate.Issuer.CommonName != issuer {
				err = errors.New("it was " + certificate.Issuer.CommonName)
			}
			return err
		})
	}
	generate("first")
	put(t, primary, "pki/roles/web", map[string]any{"allow_any_name": true})
	from("first.test")
	second := generate("second")
	put(t, primary, "pki/config/issuers", map[string]any{"default": second})
	from("second.test")

	// A cluster revokes what it issued, and its own list says so.
	issued, _, err := issue(t.Context())
	require.NoError(t, err)
	put(t, secondary, "pki/revoke", map[string]any{"serial_number": issued.Data["serial_number"]})
	put(t, primary, "pki/config/crl", map[string]any{"expiry": "13h"})
	cluster.Eventually(t, limit, "the secondary's list has the certificate and the new expiry",
		func(ctx context.Context) error {
			if _, err := client(secondary).ReadWithContext(ctx, "pki/crl/rotate"); err != nil {
				return err
			}
			secret, err := client(secondary).ReadWithContext(ctx, "pki/cert/crl")
			if err != nil {
				return err
			}
			block, _ := pem.Decode([]byte(fmt.Sprint(secret.Data["certificate"])))
			if block == nil {
				return errors.New("no list")
			}
			list, err := x509.ParseRevocationList(block.Bytes)
			switch {
			case err != nil:
				return err
			case len(list.RevokedCertificateEntries) != 1:
				return fmt.Errorf("%d certificates are revoked", len(list.RevokedCertificateEntries))
			case list.NextUpdate.Sub(list.ThisUpdate).Round(time.Hour) != 13*time.Hour:
				return fmt.Errorf("it is valid from %s until %s", list.ThisUpdate, list.NextUpdate)
			}
			return nil
		})
}

// databaseFollows has the connection change its user while the secondary holds
// connections of the one before.
func databaseFollows(t *testing.T, primary, secondary *cluster.Cluster) {
	ctx, database := t.Context(), postgres.New(t)
	_, err := database.Query(ctx, database.Admin, database.Password,
		`create role second superuser login password 'other'; create table made (name text, by text)`)
	require.NoError(t, err)
	connect := func(user, password string) {
		put(t, primary, "db/config/main", map[string]any{
			"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": database.URL(),
			"username": user, "password": password,
		})
	}
	madeBy := func(user string) {
		t.Helper()
		cluster.Eventually(t, limit, "the secondary makes users as "+user, func(ctx context.Context) error {
			secret, err := client(secondary).ReadWithContext(ctx, "db/creds/app")
			if err != nil {
				return err
			}
			if secret == nil {
				return errors.New("there is no role")
			}
			by, err := database.Query(ctx, database.Admin, database.Password, fmt.Sprintf("select by from made where name = "+
				"'%s'", secret.Data["username"]))
			if err == nil && by != user {
				err = fmt.Errorf("it was %q", by)
			}
			return err
		})
	}
	put(t, primary, "sys/mounts/db", map[string]any{"type": "database"})
	connect(database.Admin, database.Password)
	put(t, primary, "db/roles/app", map[string]any{"db_name": "main", "default_ttl": "10m",
		"creation_statements": []string{
			`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
			`INSERT INTO made VALUES ('{{name}}', current_user)`,
		}})
	madeBy(database.Admin)
	connect("second", "other")
	madeBy("second")
}

func pluginVersionFollows(t *testing.T, primary, secondary *cluster.Cluster, sum string) {
	register := func(version string) {
		put(t, primary, "sys/plugins/catalog/secret/outside", map[string]any{
			"command": "externalplugin", "sha256": sum, "args": []string{"-type=secret"}, "version": version,
		})
	}
	running := func(version string) {
		t.Helper()
		eventually(t, secondary, "sys/mounts/out", "running_plugin_version", version)
	}
	register("v1.0.0")
	put(t, primary, "sys/mounts/out",
		map[string]any{"type": "outside", "config": map[string]any{"plugin_version": "v1.0.0"}})
	running("v1.0.0")
	put(t, primary, "out/entries/a", map[string]any{"value": "one"})
	eventually(t, secondary, "out/entries/a", "value", "one")
	register("v2.0.0")
	put(t, primary, "sys/mounts/out/tune", map[string]any{"plugin_version": "v2.0.0"})
	put(t, primary, "sys/plugins/reload/backend", map[string]any{"mounts": "out/"})
	running("v2.0.0")
	put(t, secondary, "out/entries/a", map[string]any{"value": "two"})
	eventually(t, secondary, "out/entries/a", "value", "two")
	eventually(t, primary, "out/entries/a", "value", "two")
}

// writesMeetReloads reloads a plugin on the secondary while clients of it write: each
// write is carried out by the primary.
func writesMeetReloads(t *testing.T, primary, secondary *cluster.Cluster) {
	const writers, reloads = 4, 10
	var wg sync.WaitGroup
	stop := make(chan struct{})
	written, failed := make([]int, writers), make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			for failed[w] == nil {
				select {
				case <-stop:
					return
				default:
				}
				_, failed[w] = client(secondary).WriteWithContext(t.Context(), fmt.Sprintf("out/entries/w%d", w),
					map[string]any{"value": fmt.Sprint(written[w] + 1)})
				written[w]++
			}
		})
	}
	for range reloads {
		put(t, secondary, "sys/plugins/reload/backend", map[string]any{"mounts": "out/"})
		put(t, secondary, "sys/plugins/reload/secret/outside", nil)
	}
	close(stop)
	wg.Wait()
	for w := range writers {
		require.NoError(t, failed[w])
		eventually(t, primary, fmt.Sprintf("out/entries/w%d", w), "value", fmt.Sprint(written[w]))
	}
	status, err := secondary.Node(0).PerformanceStatus(t.Context())
	require.NoError(t, err)
	require.Empty(t, status.Lacks)
}

// pluginTakesAPlace mounts a registered plugin that has the name of an engine that
// is built in: what is known of that one does not count.
func pluginTakesAPlace(t *testing.T, primary, secondary *cluster.Cluster, sum string) {
	put(t, primary, "sys/plugins/catalog/secret/totp", map[string]any{"command": "externalplugin", "sha256": sum,
		"args": []string{"-type=secret"}})
	put(t, primary, "sys/mounts/place", map[string]any{"type": "totp"})
	put(t, primary, "place/entries/a", map[string]any{"value": "one"})
	eventually(t, secondary, "place/entries/a", "value", "one")
	put(t, secondary, "place/entries/a", map[string]any{"value": "two"})
	eventually(t, primary, "place/entries/a", "value", "two")
	eventually(t, secondary, "place/entries/a", "value", "two")
	// What the plugin declares to be local is, on both sides.
	put(t, secondary, "place/local/a", map[string]any{"value": "here"})
	eventually(t, secondary, "place/local/a", "value", "here")
	require.NoError(t, secondary.WaitCaughtUp(t.Context(), primary))
	secret, err := client(primary).ReadWithContext(t.Context(), "place/local/a")
	require.NoError(t, err)
	require.Nil(t, secret)
}
