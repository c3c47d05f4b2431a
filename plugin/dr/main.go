// SPDX-License-Identifier: MPL-2.0

// Command dr is the plugin of disaster recovery replication.
package main

import (
	"github.com/hashicorp/go-hclog"

	"github.com/vault-replication/vault-replication/plugin/engine"
	"github.com/vault-replication/vault-replication/shared/grpcplugin"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func main() {
	grpcplugin.Serve(func(host replication.Host, logger hclog.Logger) replication.Backend {
		return engine.New(engine.Config{Mode: replication.DR}, host, logger)
	})
}
