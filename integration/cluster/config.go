// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"fmt"
	"strings"
)

// config is the node's configuration as an operator would write it.
func (n *Node) config() string {
	o := n.cluster.opts
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	line("disable_mlock = true")
	line("log_level     = %q", o.LogLevel)
	line("cluster_name  = %q", o.Name)
	line("api_addr      = %q", n.Address())
	line("cluster_addr  = %q", n.advertised())
	line("default_lease_ttl = \"1h\"\nmax_lease_ttl     = \"24h\"")

	line("\nlistener \"tcp\" {")
	line("  address         = \"127.0.0.1:%d\"", n.apiPort)
	line("  cluster_address = \"127.0.0.1:%d\"", n.clusterPort)
	if o.OpenProfiles {
		line("  profiling {\n    unauthenticated_pprof_access = true\n  }")
	}
	if o.OpenMetrics {
		line("  telemetry {\n    unauthenticated_metrics_access = true\n  }")
	}
	if o.DisableTLS {
		line("  tls_disable = true")
	} else {
		line("  tls_cert_file = %q\n  tls_key_file  = %q", n.path("api.pem"), n.path("api.key"))
	}
	if o.ListenerHCL != "" {
		line("%s", o.ListenerHCL)
	}
	line("}")

	line("\nstorage %q {", string(o.Storage))
	switch o.Storage {
	case Raft:
		line("  path = %q\n  node_id = %q", n.path("data"), n.Name())
		// The default multiplier is meant for wide networks and would make every
		// election of a test take many seconds.
		line("  performance_multiplier = 1")
		if o.MaxEntrySize > 0 {
			line("  max_entry_size = \"%d\"", o.MaxEntrySize)
		}
		for _, other := range n.cluster.nodes[:n.index] {
			line("  retry_join {\n    leader_api_addr = %q", other.Address())
			if !o.DisableTLS {
				line("    leader_ca_cert_file = %q", o.CA.File)
			}
			line("  }")
		}
	case PostgreSQL:
		line("  connection_url = %q\n  table = %q\n  ha_table = %q\n  ha_enabled = \"true\"", o.Tables.URL, o.Tables.Entries,
			o.Tables.Locks)
		// The tests' server takes few connections, and a new one is expensive.
		line("  max_parallel = \"8\"\n  max_idle_connections = \"8\"")
	case File:
		line("  path = %q", n.path("data"))
	case Inmem:
	}
	line("}")

	for _, s := range []*TransitSeal{o.Seal, n.cluster.leaving} {
		if s == nil {
			continue
		}
		line("\nseal \"transit\" {\n  address = %q\n  token = %q\n  key_name = %q\n  mount_path = \"transit/\"", s.Address,
			s.Token, s.KeyName)
		if s.CAFile != "" {
			line("  tls_ca_cert = %q", s.CAFile)
		}
		if s == n.cluster.leaving {
			line("  disabled = \"true\"")
		}
		line("}")
	}
	if o.OpenMetrics {
		line("\ntelemetry {\n  prometheus_retention_time = \"30s\"\n  disable_hostname = true\n}")
	}
	if o.ExtraHCL != "" {
		line("\n%s", o.ExtraHCL)
	}
	return b.String()
}
