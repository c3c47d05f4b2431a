// SPDX-License-Identifier: MPL-2.0

package config

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFromArgs(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, name, text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	stanza := `
storage "inmem" {}
replication {
  logshipper_buffer_size        = "5mb"
  logshipper_buffer_length      = 100
  resolver_discover_servers     = false
  best_effort_wal_wait_duration = "3s"
  tls_min_version               = "tls13"
  tls_cipher_suites             = "TLS_AES_256_GCM_SHA384"
  slot_max_retained             = "2GiB"
  slot_max_age                  = "36h"
}`
	tests := map[string]struct {
		args  func(t *testing.T) []string
		check func(t *testing.T, c *Config)
		err   string
	}{
		"no stanza": {
			args: func(t *testing.T) []string {
				return []string{"server", "-config", write(t, "a.hcl", `storage "inmem" {}`)}
			},
			check: func(t *testing.T, c *Config) {
				require.Equal(t, int64(DefaultBufferSize), c.BufferSize)
				require.EqualValues(t, 1<<30, c.SlotMaxRetained)
				require.Equal(t, 72*time.Hour, c.SlotMaxAge)
				require.True(t, c.ResolverDiscoverServers)
			},
		},
		"all": {
			args: func(t *testing.T) []string { return []string{"server", "-config=" + write(t, "a.hcl", stanza)} },
			check: func(t *testing.T, c *Config) {
				require.Equal(t, int64(5_000_000), c.BufferSize)
				require.Equal(t, int64(100), c.BufferLength)
				require.False(t, c.ResolverDiscoverServers)
				require.EqualValues(t, tls.VersionTLS13, c.TLSMinVersion)
				require.Equal(t, []uint16{tls.TLS_AES_256_GCM_SHA384}, c.TLSCipherSuites)
				require.Equal(t, 3*time.Second, c.BestEffortWALWaitDuration)
				require.EqualValues(t, 2<<30, c.SlotMaxRetained)
				require.Equal(t, 36*time.Hour, c.SlotMaxAge)
			},
		},
		"a directory": {
			args: func(t *testing.T) []string {
				return []string{"server", "--config", filepath.Dir(write(t, "a.hcl", stanza))}
			},
			check: func(t *testing.T, c *Config) { require.Equal(t, int64(100), c.BufferLength) },
		},
		"another command": {
			args: func(t *testing.T) []string { return []string{"agent", "-config=" + write(t, "a.hcl", stanza)} },
			check: func(t *testing.T, c *Config) {
				require.Equal(t, int64(DefaultBufferSize), c.BufferSize)
			},
		},
		"unknown parameter": {
			args: func(t *testing.T) []string {
				return []string{"server", "-config", write(t, "a.hcl", `replication { buffer = 1 }`)}
			},
			err: "buffer: there is no such parameter",
		},
		"old TLS": {
			args: func(t *testing.T) []string {
				return []string{"server", "-config", write(t, "a.hcl", `replication { tls_min_version = "tls11" }`)}
			},
			err: "tls12",
		},
		"no caps": {
			args: func(t *testing.T) []string {
				return []string{"server", "-config", write(t, "a.hcl", "replication {\n slot_max_retained = 0\n slot_max_age = "+
					"0\n}")}
			},
			check: func(t *testing.T, c *Config) {
				require.Zero(t, c.SlotMaxRetained)
				require.Zero(t, c.SlotMaxAge)
			},
		},
		"a cap that is no size": {
			args: func(t *testing.T) []string {
				return []string{"server", "-config", write(t, "a.hcl", `replication { slot_max_retained = "much" }`)}
			},
			err: `slot_max_retained: much is no size such as "1GiB"`,
		},
		"a negative cap": {
			args: func(t *testing.T) []string {
				return []string{"server", "-config", write(t, "a.hcl", `replication { slot_max_retained = -1 }`)}
			},
			err: `slot_max_retained: -1 is no size`,
		},
		"an age that is none": {
			args: func(t *testing.T) []string {
				return []string{"server", "-config", write(t, "a.hcl", `replication { slot_max_age = "soon" }`)}
			},
			err: `slot_max_age: soon is no duration such as "72h"`,
		},
		"a negative age": {
			args: func(t *testing.T) []string {
				return []string{"server", "-config", write(t, "a.hcl", `replication { slot_max_age = "-1h" }`)}
			},
			err: "slot_max_age: -1h0m0s is negative",
		},
		"too small": {
			args: func(t *testing.T) []string {
				return []string{"server", "-config", write(t, "a.hcl", `replication { logshipper_buffer_size = 5 }`)}
			},
			err: "not between",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := FromArgs(tt.args(t))
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			tt.check(t, c)
		})
	}
}
