// SPDX-License-Identifier: MPL-2.0

package config

import (
	"crypto/tls"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/go-secure-stdlib/tlsutil"
	"github.com/hashicorp/hcl"
)

// PluginDirectoryEnv overrides the directory of the built-in replication
// plugins.
const PluginDirectoryEnv = "VAULT_REPLICATION_PLUGIN_DIR"

// DefaultBufferSize is the size in bytes of the ring of recent writes when the
// stanza does not set logshipper_buffer_size.
const DefaultBufferSize = 256 << 20

// Defaults of what the journal retains for a secondary that is away. A row has about 120
// bytes, so 1 GiB is nine million writes: a day at a hundred writes a second. Three days
// are a weekend and the Monday after it.
const (
	DefaultSlotMaxRetained = 1 << 30
	DefaultSlotMaxAge      = 72 * time.Hour
)

// Config is the `replication` stanza.
type Config struct {
	// PluginDirectory holds the replication plugins; by default the directory
	// "plugins" beside the server binary.
	PluginDirectory string
	// BufferSize bounds the ring of recent writes in memory, in bytes.
	BufferSize int64
	// BufferLength bounds it in rows of the journal too; zero for no such bound.
	BufferLength int64
	// SlotMaxRetained and SlotMaxAge bound what the journal keeps for a secondary that is
	// away, in bytes and in time. Zero is no bound.
	SlotMaxRetained uint64
	SlotMaxAge      time.Duration
	// BestEffortWALWaitDuration is how long a forwarded write waits to be visible
	// on the secondary.
	BestEffortWALWaitDuration time.Duration
	// TLSMinVersion and TLSCipherSuites are the least that this cluster accepts when
	// it connects to a primary. The accepting side is Vault's cluster listener, with
	// its own cluster_cipher_suites.
	TLSMinVersion   uint16
	TLSCipherSuites []uint16
	// ResolverDiscoverServers says that this cluster, as a secondary, uses all addresses of its
	// primary that it knows, not only those that an operator gave.
	ResolverDiscoverServers bool
	// ClusterAddr is the top-level cluster_addr. Vault uses it with HA storage alone;
	// replication needs it with any storage.
	ClusterAddr string
}

// Default is the configuration without a stanza.
func Default() (*Config, error) {
	dir := os.Getenv(PluginDirectoryEnv)
	if dir == "" {
		exe, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("the directory of the replication plugins cannot be found: set %s: %w", PluginDirectoryEnv,
				err)
		}
		if exe, err = filepath.EvalSymlinks(exe); err != nil {
			return nil, fmt.Errorf("the directory of the replication plugins cannot be found: set %s: %w", PluginDirectoryEnv,
				err)
		}
		dir = filepath.Join(filepath.Dir(exe), "plugins")
	}
	return &Config{
		PluginDirectory:           dir,
		BufferSize:                DefaultBufferSize,
		SlotMaxRetained:           DefaultSlotMaxRetained,
		SlotMaxAge:                DefaultSlotMaxAge,
		BestEffortWALWaitDuration: 2 * time.Second,
		TLSMinVersion:             tls.VersionTLS12,
		ResolverDiscoverServers:   true,
	}, nil
}

// FromArgs reads the files that a server command line names with -config. Args
// begin after the program's name. Other commands get the default.
func FromArgs(args []string) (*Config, error) {
	c, err := Default()
	if err != nil || len(args) == 0 || args[0] != "server" {
		return c, err
	}
	for _, path := range configPaths(args[1:]) {
		files, err := filesOf(path)
		if err != nil {
			// Vault reports the error in its own words.
			continue
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			if err := c.merge(raw); err != nil {
				return nil, fmt.Errorf("the replication stanza of %s cannot be used: %w", file, err)
			}
		}
	}
	return c, nil
}

// configPaths are the values of -config, in the forms that Go flags take.
func configPaths(args []string) []string {
	var paths []string
	for i := 0; i < len(args); i++ {
		name, value, assigned := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if !strings.HasPrefix(args[i], "-") || name != "config" {
			continue
		}
		if !assigned && i+1 < len(args) {
			i++
			value = args[i]
		}
		if value != "" {
			paths = append(paths, value)
		}
	}
	return paths
}

// filesOf is a file, or the configuration files of a directory in Vault's order.
func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	for _, pattern := range []string{"*.hcl", "*.json"} {
		found, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	sort.Strings(files)
	return files, nil
}

// merge takes over the stanza of one file, if it has one. A file that does not
// parse is left to Vault to report.
func (c *Config) merge(raw []byte) error {
	var file struct {
		ClusterAddr string           `hcl:"cluster_addr"`
		Replication []map[string]any `hcl:"replication"`
	}
	if err := hcl.Unmarshal(raw, &file); err != nil {
		return nil //nolint:nilerr // Vault reads the file too, and reports it
	}
	if file.ClusterAddr != "" {
		c.ClusterAddr = file.ClusterAddr
	}
	for _, stanza := range file.Replication {
		for name, value := range stanza {
			if err := c.set(name, value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// parseCap reads a size. It refuses a negative number, which parseutil takes for a huge
// one.
func parseCap(value any) (uint64, error) {
	n, err := parseutil.ParseCapacityString(value)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("%v is no size such as \"1GiB\", and not 0 for no bound", value)
	}
	return n, nil
}

func (c *Config) set(name string, value any) (err error) {
	switch name {
	case "plugin_directory":
		c.PluginDirectory, err = parseutil.ParseString(value)
	case "logshipper_buffer_size":
		var n uint64
		if n, err = parseutil.ParseCapacityString(value); err == nil && (n < 1<<20 || n > 1<<40) {
			err = fmt.Errorf("%d bytes is not between 1 MiB and 1 TiB", n)
		}
		c.BufferSize = int64(n)
	case "logshipper_buffer_length":
		if c.BufferLength, err = parseutil.ParseInt(value); err == nil && (c.BufferLength < 1 || c.BufferLength > 1<<30) {
			err = fmt.Errorf("%d is not between 1 and %d", c.BufferLength, 1<<30)
		}
	case "slot_max_retained":
		c.SlotMaxRetained, err = parseCap(value)
	case "slot_max_age":
		if c.SlotMaxAge, err = parseutil.ParseDurationSecond(value); err != nil {
			err = fmt.Errorf("%v is no duration such as \"72h\", and not 0 for no bound: %w", value, err)
		} else if c.SlotMaxAge < 0 {
			err = fmt.Errorf("%s is negative; 0 is no bound", c.SlotMaxAge)
		}
	case "resolver_discover_servers":
		c.ResolverDiscoverServers, err = parseutil.ParseBool(value)
	// These are settings of Vault Enterprise without effect here. They are accepted so that a file with them works.
	case "allow_forwarding_via_header":
		_, err = parseutil.ParseBool(value)
	case "allow_forwarding_via_token":
		var way string
		if way, err = parseutil.ParseString(value); err == nil && way != "" && way != "new_token" {
			err = fmt.Errorf("%q is not \"new_token\" or empty", way)
		}
	case "tls_min_version":
		var name string
		if name, err = parseutil.ParseString(value); err == nil {
			var known bool
			if c.TLSMinVersion, known = tlsutil.TLSLookup[name]; !known || c.TLSMinVersion < tls.VersionTLS12 {
				err = fmt.Errorf("%q is not \"tls12\" or \"tls13\"", name)
			}
		}
	case "tls_cipher_suites":
		var names string
		if names, err = parseutil.ParseString(value); err == nil {
			c.TLSCipherSuites, err = tlsutil.ParseCiphers(names)
		}
	case "best_effort_wal_wait_duration":
		if c.BestEffortWALWaitDuration, err = parseutil.ParseDurationSecond(value); err == nil &&
			c.BestEffortWALWaitDuration < 0 {
			err = fmt.Errorf("%s is negative", c.BestEffortWALWaitDuration)
		}
	default:
		return fmt.Errorf("there is no such parameter")
	}
	return err
}
